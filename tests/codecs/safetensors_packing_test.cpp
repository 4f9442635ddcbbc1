// F4: elements one to a byte in memory, two in a file.

#include <cairn/codecs/safetensors.h>
#include <gmock/gmock.h>

#include <random>
#include <vector>

#include "support/seed.h"

namespace cairn::safetensors {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes(std::initializer_list<int> values) {
  Bytes result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

Bytes random_bytes(std::size_t size, unsigned mask, std::mt19937_64& random) {
  Bytes result(size);
  for (std::byte& byte : result) byte = static_cast<std::byte>(random() & mask);
  return result;
}

/// Element `i`, by the format's rule alone.
std::byte element(const Bytes& packed, std::size_t i) {
  return i % 2 == 0 ? packed[i / 2] & std::byte{15} : packed[i / 2] >> 4;
}

TEST(Packing, IsOfFloat4Alone) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(packing_of(dtype), dtype == DType::float4_e2m1fn ? 2u : 1u);
  }
}

TEST(Packing, PutsTheFirstElementIntoTheLowBits) {
  Bytes packed(2);
  EXPECT_FALSE(pack_float4(bytes({0x1, 0x2, 0xf, 0x0}), packed.data()));
  EXPECT_EQ(packed, bytes({0x21, 0x0f}));
  Bytes elements(4);
  unpack_float4(packed.data(), 0, elements);
  EXPECT_EQ(elements, bytes({0x1, 0x2, 0xf, 0x0}));
}

TEST(Packing, GivesAnyRunOfElementsAndNoByteBeyond) {
  std::mt19937_64 random(test::make_seed());
  for (std::size_t first = 0; first < 20; ++first) {
    for (std::size_t count = 0; count < 40; ++count) {
      const Bytes packed = random_bytes((first + count + 1) / 2, 255, random);
      Bytes elements(count + 1, std::byte{99});
      unpack_float4(packed.data(), first, std::span(elements).first(count));
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(elements[i], element(packed, first + i)) << first << " " << count << " " << i;
      }
      ASSERT_EQ(elements[count], std::byte{99});
    }
  }
}

TEST(Packing, IsUndoneByUnpackingElsewhereAndInPlace) {
  std::mt19937_64 random(test::make_seed());
  for (std::size_t count = 0; count < 200; count += 2) {
    const Bytes elements = random_bytes(count, 15, random);
    Bytes packed(count / 2 + 1, std::byte{99});
    ASSERT_FALSE(pack_float4(elements, packed.data()));
    EXPECT_EQ(packed.back(), std::byte{99});
    packed.pop_back();
    Bytes back(count);
    unpack_float4(packed.data(), 0, back);
    EXPECT_EQ(back, elements);
    Bytes in_place = elements;
    ASSERT_FALSE(pack_float4(in_place, in_place.data()));
    in_place.resize(count / 2);
    EXPECT_EQ(in_place, packed);
  }
}

TEST(Packing, NamesTheFirstByteThatIsNoElement) {
  for (std::size_t bad = 0; bad < 30; ++bad) {
    for (const int value : {0x10, 0x80, 0xff}) {
      Bytes elements(30, std::byte{15});
      elements[bad] = static_cast<std::byte>(value);
      elements.back() = std::byte{0xf0};
      Bytes packed(15);
      EXPECT_EQ(pack_float4(elements, packed.data()), bad);
    }
  }
}

}  // namespace
}  // namespace cairn::safetensors
