#include <cairn/codecs/internal/small_float.h>
#include <cairn/codecs/internal/small_float_format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace cairn::internal {
namespace {

using Specials = SmallFloatSpecials;

// Of a finite pattern without its sign.
double magnitude(const SmallFloatFormat& f, unsigned bits) noexcept {
  const unsigned mantissa = bits & ((1u << f.mantissa_bits) - 1);
  const int exponent = static_cast<int>(bits >> f.mantissa_bits);
  const unsigned hidden = exponent == 0 ? 0u : 1u << f.mantissa_bits;
  return std::ldexp(mantissa + hidden, std::max(exponent, 1) - f.bias - f.mantissa_bits);
}

}  // namespace

bool is_small_float(DType dtype) noexcept {
  return small_float_format(dtype).exponent_bits != 0;
}

double small_float_to_double(DType dtype, std::uint16_t bits) noexcept {
  assert(is_small_float(dtype));
  const SmallFloatFormat f = small_float_format(dtype);
  if (f.specials == Specials::fnuz && bits == f.nan_bits()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const unsigned rest = bits & (f.sign_bit() - 1);
  double value = 0;
  if (rest <= f.largest()) {
    value = magnitude(f, rest);
  } else if (f.specials == Specials::ieee && rest == f.largest() + 1) {
    value = std::numeric_limits<double>::infinity();
  } else {
    value = std::numeric_limits<double>::quiet_NaN();
  }
  return (bits & f.sign_bit()) != 0 ? -value : value;
}

std::uint16_t small_float_from_double(DType dtype, double value) noexcept {
  assert(is_small_float(dtype));
  const SmallFloatFormat f = small_float_format(dtype);
  if (std::isnan(value)) return static_cast<std::uint16_t>(f.nan_bits());
  const unsigned sign = std::signbit(value) ? f.sign_bit() : 0;
  const double size = std::abs(value);
  // One unit in the last place at this size; the smallest for subnormal numbers. Dividing by it is
  // exact.
  const int smallest = 1 - f.bias;
  int exponent = smallest;
  if (size > 0 && !std::isinf(size)) exponent = std::max(std::ilogb(size), smallest);
  const double units = std::nearbyint(std::ldexp(size, f.mantissa_bits - exponent));
  unsigned bits = f.largest() + 1;
  // A carry out of the mantissa raises the exponent by itself, as the patterns are in numerical
  // order.
  if (exponent - smallest < (1 << f.exponent_bits) && !std::isinf(size)) {
    const unsigned below = static_cast<unsigned>(exponent - smallest) << f.mantissa_bits;
    bits = below + static_cast<unsigned>(units);
  }
  if (bits > f.largest()) bits = f.overflow_bits();
  if (f.specials == Specials::fnuz && (bits == 0 || bits == f.nan_bits())) {
    return static_cast<std::uint16_t>(bits);
  }
  return static_cast<std::uint16_t>(sign | bits);
}

std::uint16_t small_float_nan(DType dtype) noexcept {
  return static_cast<std::uint16_t>(small_float_format(dtype).nan_bits());
}

}  // namespace cairn::internal
