#include <cairn/codecs/dtype.h>
#include <gtest/gtest.h>

namespace cairn {
namespace {

template <class T>
concept HasDType = requires {
  dtype_of<T>();
};

static_assert(dtype_of<bool>() == DType::boolean);
static_assert(dtype_of<signed char>() == DType::int8);
static_assert(dtype_of<std::uint8_t>() == DType::uint8);
static_assert(dtype_of<short>() == DType::int16);
static_assert(dtype_of<int>() == DType::int32);
static_assert(dtype_of<long>() == DType::int64);
static_assert(dtype_of<long long>() == DType::int64);
static_assert(dtype_of<unsigned long long>() == DType::uint64);
static_assert(dtype_of<const float>() == DType::float32);
static_assert(dtype_of<double>() == DType::float64);
static_assert(dtype_of<float16_t>() == DType::float16);
static_assert(dtype_of<bfloat16_t>() == DType::bfloat16);
static_assert(dtype_of<std::complex<float>>() == DType::complex64);
static_assert(dtype_of<std::complex<double>>() == DType::complex128);
static_assert(!HasDType<char> && !HasDType<wchar_t> && !HasDType<char8_t> && !HasDType<char32_t>);
static_assert(!HasDType<long double> && !HasDType<void*> && !HasDType<std::byte>);

TEST(DType, EveryNameLeadsBackToItsType) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype) << name_of(dtype);
  }
}

TEST(DType, UnknownNamesAreNone) {
  for (const char* name : {"", "float", "Float32", "float32 ", "uint4", "<f4"}) {
    EXPECT_EQ(dtype_from_name(name), std::nullopt) << name;
  }
}

TEST(DType, SizesAreThoseOfTheStoredElements) {
  EXPECT_EQ(size_of(DType::boolean), 1u);
  EXPECT_EQ(size_of(DType::int2), 1u);
  EXPECT_EQ(size_of(DType::int4), 1u);
  EXPECT_EQ(size_of(DType::float4_e2m1fn), 1u);
  EXPECT_EQ(size_of(DType::float8_e8m0fnu), 1u);
  EXPECT_EQ(size_of(DType::bfloat16), 2u);
  EXPECT_EQ(size_of(DType::float16), 2u);
  EXPECT_EQ(size_of(DType::int32), 4u);
  EXPECT_EQ(size_of(DType::uint64), 8u);
  EXPECT_EQ(size_of(DType::complex64), sizeof(std::complex<float>));
  EXPECT_EQ(size_of(DType::complex128), sizeof(std::complex<double>));
}

}  // namespace
}  // namespace cairn
