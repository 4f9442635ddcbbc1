#include <cairn/codecs/internal/small_float.h>

#include <cassert>
#include <cmath>
#include <limits>

namespace cairn::internal {
namespace {

// What the bit patterns beside the finite numbers mean.
enum class Specials : std::uint8_t {
  ieee,  // the largest exponent: infinity and NaN
  fn,    // no infinity; all ones is NaN
  fnuz,  // no infinity, no -0: its pattern is the only NaN
  none,  // neither infinity nor NaN
};

struct Format {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  Specials specials;
};

Format format_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::float4_e2m1fn:
      return {2, 1, 1, Specials::none};
    case DType::float8_e3m4:
      return {3, 4, 3, Specials::ieee};
    case DType::float8_e4m3fn:
      return {4, 3, 7, Specials::fn};
    case DType::float8_e4m3fnuz:
      return {4, 3, 8, Specials::fnuz};
    case DType::float8_e4m3b11fnuz:
      return {4, 3, 11, Specials::fnuz};
    case DType::float8_e5m2:
      return {5, 2, 15, Specials::ieee};
    case DType::float8_e5m2fnuz:
      return {5, 2, 16, Specials::fnuz};
    case DType::float16:
      return {5, 10, 15, Specials::ieee};
    case DType::bfloat16:
      return {8, 7, 127, Specials::ieee};
    default:
      return {0, 0, 0, Specials::none};
  }
}

unsigned sign_bit(const Format& f) noexcept {
  return 1u << (f.exponent_bits + f.mantissa_bits);
}

// The largest finite number without its sign.
unsigned largest(const Format& f) noexcept {
  const unsigned all_ones = sign_bit(f) - 1;
  switch (f.specials) {
    case Specials::ieee:
      return all_ones - (1u << f.mantissa_bits);
    case Specials::fn:
      return all_ones - 1;
    case Specials::fnuz:
    case Specials::none:
      break;
  }
  return all_ones;
}

// Of a finite pattern without its sign.
double magnitude(const Format& f, unsigned bits) noexcept {
  const unsigned mantissa = bits & ((1u << f.mantissa_bits) - 1);
  const int exponent = static_cast<int>(bits >> f.mantissa_bits);
  const unsigned hidden = exponent == 0 ? 0u : 1u << f.mantissa_bits;
  return std::ldexp(mantissa + hidden, std::max(exponent, 1) - f.bias - f.mantissa_bits);
}

unsigned nan_bits(const Format& f) noexcept {
  switch (f.specials) {
    case Specials::ieee:  // quiet: the largest exponent and the mantissa's highest bit
      return largest(f) + 1 + (1u << (f.mantissa_bits - 1));
    case Specials::fn:
      return sign_bit(f) - 1;
    case Specials::fnuz:
    case Specials::none:
      break;
  }
  return sign_bit(f);
}

unsigned overflow_bits(const Format& f) noexcept {
  switch (f.specials) {
    case Specials::ieee:
      return largest(f) + 1;
    case Specials::fn:
    case Specials::fnuz:
      return nan_bits(f);
    case Specials::none:
      break;
  }
  return largest(f);
}

}  // namespace

bool is_small_float(DType dtype) noexcept {
  return format_of(dtype).exponent_bits != 0;
}

double small_float_to_double(DType dtype, std::uint16_t bits) noexcept {
  assert(is_small_float(dtype));
  const Format f = format_of(dtype);
  if (f.specials == Specials::fnuz && bits == nan_bits(f)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const unsigned rest = bits & (sign_bit(f) - 1);
  double value = 0;
  if (rest <= largest(f)) {
    value = magnitude(f, rest);
  } else if (f.specials == Specials::ieee && rest == largest(f) + 1) {
    value = std::numeric_limits<double>::infinity();
  } else {
    value = std::numeric_limits<double>::quiet_NaN();
  }
  return (bits & sign_bit(f)) != 0 ? -value : value;
}

std::uint16_t small_float_from_double(DType dtype, double value) noexcept {
  assert(is_small_float(dtype));
  const Format f = format_of(dtype);
  if (std::isnan(value)) return static_cast<std::uint16_t>(nan_bits(f));
  const unsigned sign = std::signbit(value) ? sign_bit(f) : 0;
  const double size = std::abs(value);
  // One unit in the last place at this size; the smallest for subnormal numbers. Dividing by it is
  // exact.
  const int smallest = 1 - f.bias;
  int exponent = smallest;
  if (size > 0 && !std::isinf(size)) exponent = std::max(std::ilogb(size), smallest);
  const double units = std::nearbyint(std::ldexp(size, f.mantissa_bits - exponent));
  unsigned bits = largest(f) + 1;
  // A carry out of the mantissa raises the exponent by itself, as the patterns are in numerical
  // order.
  if (exponent - smallest < (1 << f.exponent_bits) && !std::isinf(size)) {
    const unsigned below = static_cast<unsigned>(exponent - smallest) << f.mantissa_bits;
    bits = below + static_cast<unsigned>(units);
  }
  if (bits > largest(f)) bits = overflow_bits(f);
  if (f.specials == Specials::fnuz && (bits == 0 || bits == nan_bits(f))) {
    return static_cast<std::uint16_t>(bits);
  }
  return static_cast<std::uint16_t>(sign | bits);
}

std::uint16_t small_float_nan(DType dtype) noexcept {
  return static_cast<std::uint16_t>(nan_bits(format_of(dtype)));
}

}  // namespace cairn::internal
