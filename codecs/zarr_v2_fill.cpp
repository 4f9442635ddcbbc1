// Fill values of .zarray: those of zarr.json but for null, base64 and bits in hex.

#include <cairn/codecs/cast.h>
#include <cairn/codecs/internal/zarr_chain.h>
#include <cairn/codecs/internal/zarr_fill.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

namespace cairn::internal {
namespace {

namespace json = boost::json;

constexpr std::string_view kName = "fill_value";
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr unsigned kDigitBits = 6;  // of one base64 digit

std::string to_base64(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group =
          group << 8 | (i + k < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      const std::uint32_t digit = group >> (kDigitBits * (3 - k)) & 63;
      text += k > bytes.size() - i ? '=' : kDigits[digit];
    }
  }
  return text;
}

// RFC 4648, with or without the padding.
std::optional<std::vector<std::byte>> from_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::vector<std::byte> bytes;
  std::uint32_t pending = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == kDigits.npos) return std::nullopt;
    pending = (pending << kDigitBits | static_cast<std::uint32_t>(digit)) & 0xffff;
    bits += kDigitBits;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<std::byte>(pending >> bits & 0xff));
  }
  return bytes;
}

bool is_complex(DType dtype) {
  return dtype == DType::complex64 || dtype == DType::complex128;
}

// TensorStore writes a float that has no v2 type character as bytes.
bool is_base64(DType dtype) {
  return dtype == DType::float4_e2m1fn;
}

std::vector<std::byte> decode_base64(const JsonMembers& metadata, DType dtype, bool big_endian,
                                     const json::value& value) {
  const auto* string = value.if_string();
  auto bytes = string ? from_base64({string->data(), string->size()}) : std::nullopt;
  if (!bytes || bytes->size() != size_of(dtype)) {
    metadata.fail(kName, describe(value),
                  fmt::format("{}{} bytes in base64",
                              is_complex(dtype) ? "[real, imaginary], or " : "", size_of(dtype)));
  }
  if (big_endian) zarr::internal::swap_bytes(*bytes, dtype);
  return std::move(*bytes);
}

bool is_float(DType dtype) {
  const std::string_view name = name_of(dtype);
  return name.starts_with("float") || name.starts_with("bfloat");
}

// TensorStore also takes a number within a string.
std::optional<double> number_in(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return {};
  return number;
}

/// A float, or a part of a complex number, as decode_fill_value() takes it. Bits in hex are no text
/// of v2: TensorStore reads them as a number in hex, zarr-python not at all.
json::value v2_number(const JsonMembers& metadata, std::string_view name,
                      const json::value& value) {
  const auto* string = value.if_string();
  if (string == nullptr) return value;
  const std::string_view text(string->data(), string->size());
  if (const auto number = number_in(text)) return *number;
  if (text != "NaN" && text != "Infinity" && text != "-Infinity") {
    metadata.fail(name, describe(value),
                  fmt::format("{}a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
                              name == kName ? "null, " : ""));
  }
  return value;
}

// Where a type has no infinity, the word reads as one of its NaNs, with the sign. It is the only
// text for the negative one.
std::optional<std::string_view> infinity_that_reads_as(DType dtype,
                                                       std::span<const std::byte> element) {
  if (!is_float(dtype)) return std::nullopt;
  std::vector<std::byte> bits(element.size());
  for (const std::string_view word : {"Infinity", "-Infinity"}) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const double value = word.front() == '-' ? -kInfinity : kInfinity;
    cast(std::as_bytes(std::span(&value, 1)), DType::float64, bits, dtype);
    if (std::ranges::equal(bits, element)) return word;
  }
  return std::nullopt;
}

}  // namespace

void append_v2_fill_value(std::string& out, DType dtype, std::span<const std::byte> element) {
  if (element.empty()) {
    out += "null";
  } else if (is_base64(dtype)) {
    out += '"' + to_base64(element) + '"';
  } else {
    std::string text;
    append_fill_value(text, dtype, element);
    if (text.find("\"0x") != text.npos) {
      if (is_complex(dtype)) {  // TensorStore reads these as bytes, too
        out += '"' + to_base64(element) + '"';
        return;
      }
      if (const auto word = infinity_that_reads_as(dtype, element)) {
        out.append("\"").append(*word).append("\"");
        return;
      }
      throw std::invalid_argument(fmt::format(
          ".zarray: fill_value: zarr v2 has no text for {} of {}", text, name_of(dtype)));
    }
    out += text;
  }
}

std::vector<std::byte> decode_v2_fill_value(const JsonMembers& metadata, DType dtype,
                                            bool big_endian, const json::value& value) {
  if (value.is_null()) return {};
  if (is_base64(dtype) || (is_complex(dtype) && value.is_string())) {
    return decode_base64(metadata, dtype, big_endian, value);
  }
  if (is_float(dtype)) {
    return decode_fill_value(metadata, dtype, v2_number(metadata, kName, value));
  }
  if (!is_complex(dtype)) return decode_fill_value(metadata, dtype, value);
  const auto* parts = value.if_array();
  if (parts == nullptr || parts->size() != 2) {
    metadata.fail(kName, describe(value),
                  fmt::format("null, [real, imaginary], or {} bytes in base64", size_of(dtype)));
  }
  json::array numbers;
  for (const json::value& part : *parts) {
    numbers.push_back(v2_number(metadata, fmt::format("{}[{}]", kName, numbers.size()), part));
  }
  return decode_fill_value(metadata, dtype, std::move(numbers));
}

}  // namespace cairn::internal
