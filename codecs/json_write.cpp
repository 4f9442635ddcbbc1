// Writing JSON as Python's json module does, and the words of decoders' errors.

#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/internal/utf8.h>
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <stdexcept>

namespace cairn::internal {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDescription = 60;  // characters of a value in an error

std::string_view view(json::string_view text) {
  return {text.data(), text.size()};
}

// Python's json.dumps leaves exactly the printable ASCII characters as they are.
bool is_plain(char c) noexcept {
  return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

void append_escape(std::string& out, char32_t code) {
  switch (code) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\b':
      out += "\\b";
      return;
    default:
      break;
  }
  const auto unit = static_cast<std::uint32_t>(code);
  if (unit < 0x10000) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
  } else {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xD7C0 + (unit >> 10),
                   0xDC00 + (unit & 0x3FF));
  }
}

void append_value(std::string& out, const json::value& value, std::size_t depth);

// `depth`: objects and arrays around what is written.
void check_depth(std::size_t depth) {
  if (depth < kMaxJsonDepth) return;
  throw std::invalid_argument("JSON value is nested more than " + std::to_string(kMaxJsonDepth) +
                              " deep");
}

void append_object(std::string& out, const json::object& object, std::size_t depth) {
  check_depth(depth);
  out += '{';
  bool first = true;
  for (const auto& member : object) {
    if (!first) out += ", ";
    first = false;
    append_json_string(out, view(member.key()));
    out += ": ";
    append_value(out, member.value(), depth + 1);
  }
  out += '}';
}

void append_value(std::string& out, const json::value& value, std::size_t depth) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      out += std::to_string(value.get_int64());
      return;
    case json::kind::uint64:
      out += std::to_string(value.get_uint64());
      return;
    case json::kind::double_:
      append_json_double(out, value.get_double());
      return;
    case json::kind::string:
      append_json_string(out, view(value.get_string()));
      return;
    case json::kind::array: {
      check_depth(depth);
      out += '[';
      bool first = true;
      for (const json::value& element : value.get_array()) {
        if (!first) out += ", ";
        first = false;
        append_value(out, element, depth + 1);
      }
      out += ']';
      return;
    }
    case json::kind::object:
      append_object(out, value.get_object(), depth);
      return;
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view utf8) {
  out += '"';
  while (!utf8.empty()) {
    std::size_t plain = 0;
    while (plain < utf8.size() && is_plain(utf8[plain])) ++plain;
    out += utf8.substr(0, plain);
    utf8.remove_prefix(plain);
    if (utf8.empty()) break;
    const CodePoint code = first_code_point(utf8);
    if (code.size == 0) {
      throw std::invalid_argument(fmt::format("text for JSON has byte 0x{:02x}, which is not UTF-8",
                                              static_cast<unsigned char>(utf8.front())));
    }
    append_escape(out, code.value);
    utf8.remove_prefix(code.size);
  }
  out += '"';
}

void append_json_double(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value < 0 ? "-Infinity" : "Infinity";
  } else {
    const std::size_t start = out.size();
    fmt::format_to(std::back_inserter(out), "{}", value);
    // 3.0 must not come back as an integer.
    if (out.find_first_not_of("-0123456789", start) == out.npos) out += ".0";
  }
}

void append_json(std::string& out, const json::value& value, std::size_t around) {
  append_value(out, value, around);
}
void append_json(std::string& out, const json::object& object, std::size_t around) {
  append_object(out, object, around);
}

std::string describe(const json::value& value) {
  if (value.is_array()) return fmt::format("an array of {}", value.get_array().size());
  if (value.is_object()) return fmt::format("an object with {} members", value.get_object().size());
  std::string text;
  append_json(text, value);
  if (text.size() > kMaxDescription) text = text.substr(0, kMaxDescription) + "...";
  return text;
}

}  // namespace cairn::internal
