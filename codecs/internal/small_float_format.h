#pragma once
// The layouts of floats of at most 16 bits, for code that is made for each of them when compiled.

#include <cairn/codecs/dtype.h>

#include <cstdint>

namespace cairn::internal {

// What the bit patterns beside the finite numbers mean.
enum class SmallFloatSpecials : std::uint8_t {
  ieee,  ///< the largest exponent: infinity and NaN
  fn,    ///< no infinity; all ones is NaN
  fnuz,  ///< no infinity, no -0: its pattern is the only NaN
  none,  ///< neither infinity nor NaN
};

struct SmallFloatFormat {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  SmallFloatSpecials specials;

  [[nodiscard]] constexpr unsigned sign_bit() const noexcept {
    return 1u << (exponent_bits + mantissa_bits);
  }
  /// The largest finite number without its sign.
  [[nodiscard]] constexpr unsigned largest() const noexcept {
    const unsigned all_ones = sign_bit() - 1;
    switch (specials) {
      case SmallFloatSpecials::ieee:
        return all_ones - (1u << mantissa_bits);
      case SmallFloatSpecials::fn:
        return all_ones - 1;
      case SmallFloatSpecials::fnuz:
      case SmallFloatSpecials::none:
        break;
    }
    return all_ones;
  }
  [[nodiscard]] constexpr unsigned nan_bits() const noexcept {
    switch (specials) {
      case SmallFloatSpecials::ieee:  // quiet: the largest exponent and the mantissa's highest bit
        return largest() + 1 + (1u << (mantissa_bits - 1));
      case SmallFloatSpecials::fn:
        return sign_bit() - 1;
      case SmallFloatSpecials::fnuz:
      case SmallFloatSpecials::none:
        break;
    }
    return sign_bit();
  }
  /// What is beyond the largest becomes, without its sign.
  [[nodiscard]] constexpr unsigned overflow_bits() const noexcept {
    switch (specials) {
      case SmallFloatSpecials::ieee:
        return largest() + 1;
      case SmallFloatSpecials::fn:
      case SmallFloatSpecials::fnuz:
        return nan_bits();
      case SmallFloatSpecials::none:
        break;
    }
    return largest();
  }
};

/// No exponent bits where is_small_float() is false.
[[nodiscard]] constexpr SmallFloatFormat small_float_format(DType dtype) noexcept {
  using enum SmallFloatSpecials;
  switch (dtype) {
    case DType::float4_e2m1fn:
      return {2, 1, 1, none};
    case DType::float8_e3m4:
      return {3, 4, 3, ieee};
    case DType::float8_e4m3fn:
      return {4, 3, 7, fn};
    case DType::float8_e4m3fnuz:
      return {4, 3, 8, fnuz};
    case DType::float8_e4m3b11fnuz:
      return {4, 3, 11, fnuz};
    case DType::float8_e5m2:
      return {5, 2, 15, ieee};
    case DType::float8_e5m2fnuz:
      return {5, 2, 16, fnuz};
    case DType::float16:
      return {5, 10, 15, ieee};
    case DType::bfloat16:
      return {8, 7, 127, ieee};
    default:
      return {0, 0, 0, none};
  }
}

}  // namespace cairn::internal
