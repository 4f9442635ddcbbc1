#pragma once
// One element to a number and back. A number is an int64, a uint64, a float or a double. All of it
// is arithmetic on bits without branches, for loops that are to be vectorized.

#include <cairn/codecs/internal/small_float_format.h>

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace cairn::internal {

template <std::floating_point Float>
using BitsOf = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;
template <std::floating_point Float>
inline constexpr int kMantissaBits = std::numeric_limits<Float>::digits - 1;
template <std::floating_point Float>
inline constexpr int kBias = std::numeric_limits<Float>::max_exponent - 1;
template <std::floating_point Float>
inline constexpr BitsOf<Float> kInfinityBits =
    std::bit_cast<BitsOf<Float>>(std::numeric_limits<Float>::infinity());

/// What becomes of the mantissa of a NaN.
enum class NanBits : std::uint8_t { usual, kept };

/// `value` as the small float kTo, rounded to nearest, ties to even.
template <DType kTo, NanBits kNan, std::floating_point Float>
[[nodiscard]] constexpr std::uint16_t narrow_float(Float value) noexcept {
  using Bits = BitsOf<Float>;
  constexpr SmallFloatFormat kFormat = small_float_format(kTo);
  constexpr int kShift = kMantissaBits<Float> - kFormat.mantissa_bits;
  constexpr Bits kSignBit = Bits{1} << (sizeof(Bits) * 8 - 1);
  const auto bits = std::bit_cast<Bits>(value);
  const Bits size = bits & ~kSignBit;

  // A carry out of the mantissa raises the exponent by itself.
  const Bits rounded = size + ((Bits{1} << (kShift - 1)) - 1) + ((size >> kShift) & 1);
  constexpr auto kLowerBias = static_cast<Bits>(kBias<Float> - kFormat.bias);
  Bits result = (rounded >> kShift) - (kLowerBias << kFormat.mantissa_bits);
  if constexpr (kLowerBias != 0) {
    // Below the smallest normal number the processor rounds: a sum with the number whose last place
    // is the type's smallest number has no other digits.
    constexpr auto kLastPlace = static_cast<Bits>(1 - kFormat.bias - kFormat.mantissa_bits +
                                                  kMantissaBits<Float> + kBias<Float>);
    constexpr Bits kBaseBits = kLastPlace << kMantissaBits<Float>;
    const Float sum = std::bit_cast<Float>(size) + std::bit_cast<Float>(kBaseBits);
    const Bits tiny = std::bit_cast<Bits>(sum) - kBaseBits;
    result = size < ((kLowerBias + 1) << kMantissaBits<Float>) ? tiny : result;
  }
  result = result > kFormat.largest() ? Bits{kFormat.overflow_bits()} : result;

  Bits nan = kFormat.nan_bits();
  if constexpr (kNan == NanBits::kept) {
    const Bits mantissa = (size >> kShift) & ((Bits{1} << kFormat.mantissa_bits) - 1);
    nan = (kFormat.largest() + 1) | (mantissa == 0 ? Bits{1} : mantissa);
  }
  result = size > kInfinityBits<Float> ? nan : result;

  Bits sign = (bits & kSignBit) == 0 ? Bits{0} : Bits{kFormat.sign_bit()};
  if constexpr (kFormat.specials == SmallFloatSpecials::fnuz) {
    sign = result == 0 || result == kFormat.nan_bits() ? Bits{0} : sign;
  }
  // float4_e2m1fn's stand-in for NaN is -0, and 0 for a negative one.
  return static_cast<std::uint16_t>(result ^ sign);
}

/// A float16; exact.
template <std::floating_point Float>
[[nodiscard]] constexpr Float widen_float16(std::uint16_t half) noexcept {
  using Bits = BitsOf<Float>;
  constexpr SmallFloatFormat kFormat = small_float_format(DType::float16);
  constexpr Bits kHigherBias = static_cast<Bits>(kBias<Float> - kFormat.bias)
                               << kMantissaBits<Float>;
  constexpr Float kSmallest = static_cast<Float>(0x1p-24);
  const Bits size = half & (kFormat.sign_bit() - 1);
  Bits result = (size << (kMantissaBits<Float> - kFormat.mantissa_bits)) + kHigherBias;
  // The largest exponent becomes the largest.
  result += size > kFormat.largest() ? kHigherBias : Bits{0};
  const auto tiny =
      std::bit_cast<Bits>(static_cast<Float>(static_cast<std::int32_t>(size)) * kSmallest);
  result = size < (1u << kFormat.mantissa_bits) ? tiny : result;
  const Bits sign = static_cast<Bits>(half & kFormat.sign_bit()) << (sizeof(Bits) * 8 - 16);
  return std::bit_cast<Float>(result | sign);
}

[[nodiscard]] constexpr float widen_bfloat16(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// float8_e8m0fnu: an exponent alone. Halves are rounded up, as ml_dtypes does; of float32's
/// subnormal numbers it takes what is above 2^-127 for 2^-126.
[[nodiscard]] constexpr std::uint8_t narrow_to_exponent(float value) noexcept {
  constexpr std::uint8_t kNan = 0xFF;
  constexpr std::uint32_t kHalf = 1u << (kMantissaBits<float> - 1);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  std::uint32_t result = (bits + kHalf) >> kMantissaBits<float>;
  result = bits <= kHalf ? 0 : result;
  // What is negative has larger bits than infinity.
  return bits == 0 || bits >= kInfinityBits<float> ? kNan : static_cast<std::uint8_t>(result);
}

/// Towards zero; the most negative integer for what Integer cannot hold and NaN, as x86's
/// conversion has it.
template <std::signed_integral Integer>
[[nodiscard]] constexpr Integer truncate(double value) noexcept {
  constexpr auto kLowest = std::numeric_limits<Integer>::min();
  constexpr auto kEnd = -static_cast<double>(kLowest);
  // Of 32 bits the lowest is not the first double that truncates to it.
  constexpr double kBegin = sizeof(Integer) == 4 ? -kEnd - 1 : -kEnd;
  const bool held =
      sizeof(Integer) == 4 ? value > kBegin && value < kEnd : value >= kBegin && value < kEnd;
  return held ? static_cast<Integer>(value) : kLowest;
}

/// The same, for what is beyond int64 too; 0 from 2^64 on.
[[nodiscard]] constexpr std::uint64_t truncate_unsigned(double value) noexcept {
  constexpr double kHalf = 0x1p63;
  constexpr std::uint64_t kHighest = std::uint64_t{1} << 63;
  if (!(value >= kHalf)) return static_cast<std::uint64_t>(truncate<std::int64_t>(value));
  return static_cast<std::uint64_t>(truncate<std::int64_t>(value - kHalf)) ^ kHighest;
}

/// The number nearest to an infinity, 0 for NaN, and `otherwise` for the rest.
template <std::integral Integer>
[[nodiscard]] constexpr Integer nearest_to_infinity(float value, Integer otherwise) noexcept {
  constexpr auto kInfinity = std::numeric_limits<float>::infinity();
  Integer result = value == kInfinity ? std::numeric_limits<Integer>::max() : otherwise;
  result = value == -kInfinity ? std::numeric_limits<Integer>::min() : result;
  return value != value ? Integer{0} : result;
}

/// The lowest kBits, sign-extended.
template <int kBits>
[[nodiscard]] constexpr std::int8_t sign_extend(std::int64_t value) noexcept {
  constexpr std::int64_t kHalf = std::int64_t{1} << (kBits - 1);
  return static_cast<std::int8_t>(((value & (2 * kHalf - 1)) ^ kHalf) - kHalf);
}

}  // namespace cairn::internal
