#include <cairn/codecs/internal/small_float.h>
#include <cairn/codecs/internal/zarr_fill.h>
#include <fmt/format.h>

#include <array>
#include <bit>
#include <boost/json/array.hpp>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

namespace cairn::internal {
namespace {

namespace json = boost::json;

static_assert(std::endian::native == std::endian::little,
              "elements are taken from memory as they lie, which is little-endian on disk");

constexpr std::string_view kName = "fill_value";
constexpr std::string_view kFloatsAllowed =
    "a number, \"NaN\", \"Infinity\", \"-Infinity\" or \"0x\" and the bits in hex";

std::uint64_t bits_of(std::span<const std::byte> element) {
  assert(element.size() <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, element.data(), element.size());
  return bits;
}

std::vector<std::byte> element_of(std::uint64_t bits, std::size_t size) {
  std::vector<std::byte> element(size);
  std::memcpy(element.data(), &bits, size);
  return element;
}

// ---- floats ----

bool is_float(DType dtype) {
  return is_small_float(dtype) || dtype == DType::float8_e8m0fnu || dtype == DType::float32 ||
         dtype == DType::float64;
}

double float_value(DType dtype, std::uint64_t bits) {
  if (dtype == DType::float32) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  if (dtype == DType::float64) return std::bit_cast<double>(bits);
  return small_float_to_double(dtype, static_cast<std::uint16_t>(bits));
}

std::uint64_t float_bits(DType dtype, double value) {
  if (dtype == DType::float32) return std::bit_cast<std::uint32_t>(static_cast<float>(value));
  if (dtype == DType::float64) return std::bit_cast<std::uint64_t>(value);
  return small_float_from_double(dtype, value);
}

// The NaN that needs no bits to be written. The floats of 32 and 64 bits have IEEE's quiet one.
std::uint64_t nan_bits(DType dtype) {
  if (dtype == DType::float32) return 0x7FC00000;
  if (dtype == DType::float64) return 0x7FF8000000000000;
  if (dtype == DType::float8_e8m0fnu) return 0xFF;
  return small_float_nan(dtype);
}

// TensorStore's JSON library goes over to an exponent one digit earlier than Python: from 1e15 on.
void append_number(std::string& out, double value) {
  constexpr double kFrom = 1e15;
  constexpr double kTo = 1e16;
  if (std::abs(value) < kFrom || std::abs(value) >= kTo) return append_json_double(out, value);
  std::array<char, 32> text;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific);
  assert(end.ec == std::errc());
  out.append(text.data(), end.ptr);
}

void append_bits(std::string& out, std::uint64_t bits, std::size_t size) {
  fmt::format_to(std::back_inserter(out), "\"0x{:0{}x}\"", bits, size * 2);
}

void append_float(std::string& out, DType dtype, std::span<const std::byte> element) {
  const std::uint64_t bits = bits_of(element);
  if (dtype == DType::float8_e8m0fnu) {
    // TensorStore and ml_dtypes give the exponent different biases: only the bits mean the same to
    // both.
    if (bits == 0) {
      out += "0.0";
    } else if (bits == nan_bits(dtype)) {
      out += "\"NaN\"";
    } else {
      append_bits(out, bits, element.size());
    }
    return;
  }
  const double value = float_value(dtype, bits);
  if (!std::isnan(value)) {
    if (std::isinf(value)) {
      out += value < 0 ? "\"-Infinity\"" : "\"Infinity\"";
    } else {
      append_number(out, value);
    }
  } else if (bits == nan_bits(dtype)) {
    out += "\"NaN\"";
  } else {
    append_bits(out, bits, element.size());
  }
}

std::optional<std::uint64_t> bits_from_hex(std::string_view text, std::size_t size) {
  if (!text.starts_with("0x") || text.size() < 3 || text.size() > 2 + size * 2) return {};
  std::uint64_t bits = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data() + 2, last, bits, 16);
  if (error != std::errc() || end != last) return {};
  return bits;
}

std::optional<double> number_of(const json::value& value) {
  if (const auto* number = value.if_double()) return *number;
  if (const auto* number = value.if_int64()) return static_cast<double>(*number);
  if (const auto* number = value.if_uint64()) return static_cast<double>(*number);
  return std::nullopt;
}

std::uint64_t decode_float(const JsonMembers& metadata, std::string_view name, DType dtype,
                           const json::value& value) {
  const double kInfinity = std::numeric_limits<double>::infinity();
  const bool only_bits = dtype == DType::float8_e8m0fnu;
  if (const auto* string = value.if_string()) {
    const std::string_view text(string->data(), string->size());
    if (text == "NaN") return nan_bits(dtype);
    if (text == "Infinity" && !only_bits) return float_bits(dtype, kInfinity);
    if (text == "-Infinity" && !only_bits) return float_bits(dtype, -kInfinity);
    // The upper four of float4_e2m1fn's mean nothing: TensorStore writes "0xff" as -6.0.
    const std::uint64_t meant = dtype == DType::float4_e2m1fn ? 0xf : ~std::uint64_t{0};
    if (const auto bits = bits_from_hex(text, size_of(dtype))) return *bits & meant;
  } else if (const auto number = number_of(value); number && std::isfinite(*number)) {
    if (!only_bits) return float_bits(dtype, *number);
    if (*number == 0) return 0;
  }
  metadata.fail(
      name, describe(value),
      only_bits ? "0.0, \"NaN\" or \"0x\" and the bits in hex" : std::string(kFloatsAllowed));
}

// ---- integers ----

struct IntegerRange {
  bool is_signed;
  int bits;
};

std::optional<IntegerRange> integer_range(DType dtype) {
  switch (dtype) {
    case DType::int2:
      return IntegerRange{true, 2};
    case DType::int4:
      return IntegerRange{true, 4};
    case DType::int8:
    case DType::int16:
    case DType::int32:
    case DType::int64:
      return IntegerRange{true, static_cast<int>(size_of(dtype)) * 8};
    case DType::uint8:
    case DType::uint16:
    case DType::uint32:
    case DType::uint64:
      return IntegerRange{false, static_cast<int>(size_of(dtype)) * 8};
    default:
      return std::nullopt;
  }
}

std::int64_t sign_extended(std::uint64_t bits, std::size_t size) {
  const auto shift = static_cast<int>(64 - size * 8);
  return static_cast<std::int64_t>(bits << shift) >> shift;
}

void append_integer(std::string& out, const IntegerRange& range,
                    std::span<const std::byte> element) {
  const std::uint64_t bits = bits_of(element);
  out +=
      range.is_signed ? std::to_string(sign_extended(bits, element.size())) : std::to_string(bits);
}

// An integer, or a double that is one (5.0), as TensorStore takes it.
std::uint64_t decode_integer(const JsonMembers& metadata, const IntegerRange& range,
                             const json::value& value) {
  const std::int64_t low = range.is_signed ? -(std::int64_t{1} << (range.bits - 2)) * 2 : 0;
  const std::uint64_t high =
      ~std::uint64_t{0} >> (64 - range.bits + static_cast<int>(range.is_signed));
  constexpr double kTwo63 = 0x1p63;
  if (const auto* i = value.if_int64()) {
    const bool fits = *i < 0 ? *i >= low : static_cast<std::uint64_t>(*i) <= high;
    if (fits) return static_cast<std::uint64_t>(*i);
  } else if (const auto* u = value.if_uint64()) {
    if (*u <= high) return *u;
  } else if (const auto* d = value.if_double(); d && std::trunc(*d) == *d) {
    if (*d >= -kTwo63 && *d < 0 && static_cast<std::int64_t>(*d) >= low) {
      return static_cast<std::uint64_t>(static_cast<std::int64_t>(*d));
    }
    if (*d >= 0 && *d < 2 * kTwo63 && static_cast<std::uint64_t>(*d) <= high) {
      return static_cast<std::uint64_t>(*d);
    }
  }
  metadata.fail(kName, describe(value), fmt::format("an integer from {} to {}", low, high));
}

// ---- complex numbers ----

DType part_of_complex(DType dtype) {
  return dtype == DType::complex64 ? DType::float32 : DType::float64;
}

std::vector<std::byte> decode_complex(const JsonMembers& metadata, DType dtype,
                                      const json::value& value) {
  const auto* parts = value.if_array();
  if (parts == nullptr || parts->size() != 2) {
    metadata.fail(kName, describe(value), "[real, imaginary]");
  }
  const DType part = part_of_complex(dtype);
  std::vector<std::byte> element;
  for (const json::value& number : *parts) {
    const auto name = fmt::format("{}[{}]", kName, element.size() / size_of(part));
    const auto bytes = element_of(decode_float(metadata, name, part, number), size_of(part));
    element.insert(element.end(), bytes.begin(), bytes.end());
  }
  return element;
}

}  // namespace

void append_fill_value(std::string& out, DType dtype, std::span<const std::byte> element) {
  assert(element.size() == size_of(dtype));
  if (dtype == DType::boolean) {
    out += element[0] == std::byte{0} ? "false" : "true";
  } else if (const auto range = integer_range(dtype)) {
    append_integer(out, *range, element);
  } else if (is_float(dtype)) {
    append_float(out, dtype, element);
  } else {
    const DType part = part_of_complex(dtype);
    out += '[';
    append_float(out, part, element.first(size_of(part)));
    out += ',';
    append_float(out, part, element.subspan(size_of(part)));
    out += ']';
  }
}

std::vector<std::byte> decode_fill_value(const JsonMembers& metadata, DType dtype,
                                         const json::value& value) {
  if (dtype == DType::boolean) {
    if (!value.is_bool()) metadata.fail(kName, describe(value), "true or false");
    return element_of(value.get_bool() ? 1 : 0, 1);
  }
  if (const auto range = integer_range(dtype)) {
    return element_of(decode_integer(metadata, *range, value), size_of(dtype));
  }
  if (is_float(dtype)) {
    return element_of(decode_float(metadata, kName, dtype, value), size_of(dtype));
  }
  return decode_complex(metadata, dtype, value);
}

}  // namespace cairn::internal
