// The stored form of a chunk, against one made element by element.

#include <cairn/codecs/crc32c.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace cairn {
namespace {

using Elements = std::vector<std::uint16_t>;

/// Repeats after a prime number of elements, so that no MiB is like another.
Elements numbered(std::size_t count) {
  constexpr std::size_t kPrime = 65521;
  Elements elements(count);
  for (std::size_t i = 0; i < count; ++i) elements[i] = static_cast<std::uint16_t>(i % kPrime);
  return elements;
}

std::vector<std::byte> bytes_of(const Elements& elements) {
  const auto bytes = std::as_bytes(std::span(elements));
  return {bytes.begin(), bytes.end()};
}

/// The chunk of three axes, padded with zeros, then its checksum as `seed` leaves it.
std::vector<std::byte> expected_chunk(const ArrayView& view, const IndexRange& range,
                                      const Shape& chunk, std::uint32_t seed) {
  Elements elements(static_cast<std::size_t>(chunk[0] * chunk[1] * chunk[2]));
  for (Index i = 0; i < range.shape[0]; ++i) {
    for (Index j = 0; j < range.shape[1]; ++j) {
      for (Index k = 0; k < range.shape[2]; ++k) {
        const std::byte* from = view.data() + (range.origin[0] + i) * view.strides()[0] +
                                (range.origin[1] + j) * view.strides()[1] +
                                (range.origin[2] + k) * view.strides()[2];
        const Index at = (i * chunk[1] + j) * chunk[2] + k;
        std::memcpy(&elements[static_cast<std::size_t>(at)], from, sizeof(std::uint16_t));
      }
    }
  }
  std::vector<std::byte> stored = bytes_of(elements);
  const std::uint32_t crc = crc32c(stored, seed);
  const auto checksum = std::as_bytes(std::span(&crc, 1));
  stored.insert(stored.end(), checksum.begin(), checksum.end());
  return stored;
}

/// Into memory that holds something else, as the staging memory does.
std::vector<std::byte> stored_chunk(const ArrayView& view, const IndexRange& range,
                                    const Shape& chunk, std::uint32_t seed) {
  const std::size_t bytes = byte_count(DType::uint16, chunk) + internal::kChecksumBytes;
  std::vector<std::byte> stored(bytes, std::byte{0xa5});
  internal::store_chunk(view, range, DType::uint16, chunk, stored.data(), seed);
  return stored;
}

TEST(StoreChunk, IsPaddedWithZerosWhereverTheArrayEnds) {
  const Elements elements = numbered(5 * 6 * 7);
  const ArrayView view(DType::uint16, {5, 6, 7}, std::as_bytes(std::span(elements)).data());
  for (const Shape& chunk :
       {Shape{5, 6, 7}, Shape{2, 6, 7}, Shape{4, 6, 7}, Shape{1, 4, 7}, Shape{1, 1, 4},
        Shape{3, 4, 7}, Shape{2, 6, 4}, Shape{1, 4, 5}, Shape{6, 8, 8}, Shape{1, 6, 8}}) {
    for (Index i = 0; i < 5; i += chunk[0]) {
      for (Index j = 0; j < 6; j += chunk[1]) {
        for (Index k = 0; k < 7; k += chunk[2]) {
          const IndexRange range({i, j, k}, {std::min(chunk[0], 5 - i), std::min(chunk[1], 6 - j),
                                             std::min(chunk[2], 7 - k)});
          SCOPED_TRACE(testing::PrintToString(chunk) + " at " +
                       testing::PrintToString(range.origin));
          EXPECT_EQ(stored_chunk(view, range, chunk, 9), expected_chunk(view, range, chunk, 9));
        }
      }
    }
  }
}

TEST(StoreChunk, OfLargeRowsThatEndInPaddingIsTheSame) {
  // Large enough for copies that go past the cache; 3 of 4 rows are there.
  constexpr Index kColumns = 400'009;
  const Elements elements = numbered(3 * kColumns);
  const ArrayView view(DType::uint16, {1, 3, kColumns}, std::as_bytes(std::span(elements)).data());
  const IndexRange range({0, 0, 0}, {1, 3, kColumns});
  const Shape chunk = {1, 4, kColumns};
  EXPECT_EQ(stored_chunk(view, range, chunk, 9), expected_chunk(view, range, chunk, 9));
}

}  // namespace
}  // namespace cairn
