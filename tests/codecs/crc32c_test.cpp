#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/internal/copy_crc32c.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

namespace cairn {
namespace {

TEST(Crc32c, GivesTheCheckValueOfTheStandard) {
  const std::string_view text = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(text))), 0xE3069283u);
}

TEST(Crc32c, GoesOnFromASeed) {
  const std::string_view text = "123456789";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(crc32c(bytes.subspan(4), crc32c(bytes.first(4))), 0xE3069283u);
}

TEST(CopyCrc32c, CopiesAndChecksWhateverTheLengthAndAlignment) {
  constexpr unsigned kSeed = 7;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  constexpr std::size_t kMargin = 256;
  // Around the block size, the line size and the length from which stores bypass the cache.
  constexpr std::size_t kLengths[] = {0,      1,      63,      64,      65,      16'383,   16'384,
                                      16'385, 65'536, 262'143, 262'144, 262'145, 1'000'003};
  std::mt19937 random(kSeed);
  std::vector<std::byte> from(1'000'003 + kMargin);
  for (std::byte& byte : from) byte = static_cast<std::byte>(random());
  for (const std::size_t length : kLengths) {
    for (const std::size_t shift : {0u, 1u, 31u, 64u, 100u}) {
      // Those too that copy_crc32c() would not choose on this processor.
      for (const internal::Stream stream : internal::usable_streams()) {
        std::vector<std::byte> to(length + 2 * kMargin, std::byte{0xEE});
        const auto source = std::span<const std::byte>(from).subspan(shift / 2, length);
        const std::uint32_t crc = internal::copy_crc32c_with(stream, source, to.data() + shift, 5);
        ASSERT_EQ(crc, crc32c(source, 5)) << length << " bytes at " << shift;
        ASSERT_EQ(std::memcmp(to.data() + shift, source.data(), length), 0) << length;
        for (std::size_t i = 0; i < shift; ++i) ASSERT_EQ(to[i], std::byte{0xEE}) << length;
        for (std::size_t i = shift + length; i < to.size(); ++i) {
          ASSERT_EQ(to[i], std::byte{0xEE}) << length << " bytes at " << shift;
        }
      }
    }
  }
}

TEST(CopyCrc32c, AgreesWithItsVariants) {
  const std::vector<std::byte> from(1'000'000, std::byte{0x5A});
  std::vector<std::byte> to(from.size());
  EXPECT_EQ(copy_crc32c(from, to.data(), 3), crc32c(from, 3));
  EXPECT_EQ(to, from);
}

}  // namespace
}  // namespace cairn
