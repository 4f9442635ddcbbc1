// Statistics of elements of every dtype.

#include <cairn/codecs/array.h>
#include <cairn/codecs/statistics.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace cairn {
namespace {

template <class T>
Statistics of(std::initializer_list<T> values) {
  const std::vector<T> elements(values);
  Statistics statistics;
  statistics.add(dtype_of<T>(), std::as_bytes(std::span(elements)));
  return statistics;
}

Statistics of_bytes(DType dtype, std::initializer_list<unsigned> bytes) {
  std::vector<std::byte> elements;
  for (const unsigned byte : bytes) elements.push_back(static_cast<std::byte>(byte));
  Statistics statistics;
  statistics.add(dtype, elements);
  return statistics;
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Statistics, NansAndInfinitiesAreCountedApart) {
  const Statistics found = of<float>({1, kNan, -2, kInfinity, 4, -kInfinity, kNan});
  EXPECT_EQ(found.count, 7u);
  EXPECT_EQ(found.nans, 2u);
  EXPECT_EQ(found.infinite, 2u);
  EXPECT_EQ(found.finite(), 3u);
  EXPECT_EQ(found.min, -kInfinity);
  EXPECT_EQ(found.max, kInfinity);
  EXPECT_EQ(found.mean(), 1);
}

TEST(Statistics, IntegersOf64BitsAreExact) {
  const Statistics wide = of<std::uint64_t>({UINT64_MAX, UINT64_MAX - 1});
  EXPECT_EQ(wide.max, static_cast<long double>(UINT64_MAX));
  EXPECT_EQ(wide.min, static_cast<long double>(UINT64_MAX - 1));
  const Statistics low = of<std::int64_t>({INT64_MIN, 5});
  EXPECT_EQ(low.min, static_cast<long double>(INT64_MIN));
  EXPECT_EQ(low.max, 5);
}

TEST(Statistics, NothingIsZero) {
  const Statistics none;
  EXPECT_EQ(none.count, 0u);
  EXPECT_EQ(none.mean(), 0);
  const Statistics nans = of<float>({kNan, kNan});
  EXPECT_EQ(nans.mean(), 0);
  EXPECT_EQ(nans.min, 0);
}

TEST(Statistics, PiecesGiveWhatTheWholeGives) {
  Statistics parts;
  parts.merge(of<float>({kNan}));
  parts.merge(of<float>({3, 4}));
  parts.merge(Statistics());
  parts.merge(of<float>({-1, kNan}));
  EXPECT_EQ(parts, of<float>({kNan, 3, 4, -1, kNan}));
  Statistics copies;
  const float element = 2.5;
  copies.add_copies(DType::float32, std::as_bytes(std::span(&element, 1)), 4);
  copies.add_copies(DType::float32, {}, 2);
  EXPECT_EQ(copies, of<float>({2.5, 2.5, 2.5, 2.5, 0, 0}));
}

TEST(Statistics, SmallFloatsCountByTheirValues) {
  const Statistics bf16 = of<bfloat16_t>({{0x3f80}, {0xc000}, {0x7fc0}, {0x7f80}});
  EXPECT_EQ(bf16.min, -2);
  EXPECT_EQ(bf16.max, kInfinity);
  EXPECT_EQ(bf16.nans, 1u);
  EXPECT_EQ(bf16.sum, -1);
  const Statistics fp16 = of<float16_t>({{0x3c00}, {0xfbff}});
  EXPECT_EQ(fp16.min, -65504);
  EXPECT_EQ(fp16.max, 1);
  const Statistics e4m3 = of_bytes(DType::float8_e4m3fn, {0x38, 0x7e, 0xfe, 0x7f});
  EXPECT_EQ(e4m3.max, 448);
  EXPECT_EQ(e4m3.min, -448);
  EXPECT_EQ(e4m3.nans, 1u);
  const Statistics e8m0 = of_bytes(DType::float8_e8m0fnu, {127, 130, 255});
  EXPECT_EQ(e8m0.min, 1);
  EXPECT_EQ(e8m0.max, 8);
  EXPECT_EQ(e8m0.nans, 1u);
  const Statistics e2m1 = of_bytes(DType::float4_e2m1fn, {0x7, 0xf});
  EXPECT_EQ(e2m1.max, 6);
  EXPECT_EQ(e2m1.min, -6);
}

TEST(Statistics, ComplexElementsCountByTheirMagnitude) {
  const Statistics found = of<std::complex<float>>({{3, 4}, {0, -1}, {kNan, 0}, {kInfinity, kNan}});
  EXPECT_EQ(found.min, 1);
  EXPECT_EQ(found.max, kInfinity);
  EXPECT_EQ(found.nans, 1u);
  EXPECT_EQ(found.infinite, 1u);
}

TEST(Statistics, EveryDtypeIsCounted) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (dtype == DType::float8_e8m0fnu) continue;  // it has no zero
    Statistics zeros;
    zeros.add(dtype, std::vector<std::byte>(3 * size_of(dtype)));
    EXPECT_EQ(zeros.count, 3u) << name_of(dtype);
    EXPECT_EQ(zeros.max, 0) << name_of(dtype);
    EXPECT_EQ(zeros.finite(), 3u) << name_of(dtype);
  }
  EXPECT_EQ(of_bytes(DType::int4, {0xf8, 7}).min, -8);
  EXPECT_EQ(of_bytes(DType::boolean, {1, 0, 1}).sum, 2);
}

TEST(Statistics, RefusesHalfAnElement) {
  Statistics statistics;
  EXPECT_THROW(statistics.add(DType::float32, std::vector<std::byte>(6)), std::invalid_argument);
}

}  // namespace
}  // namespace cairn
