#include <cairn/codecs/internal/python_repr.h>
#include <cairn/codecs/internal/utf8.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>

namespace cairn::internal {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// What str.isprintable() denies: categories Cc, Cf, Co, Cs, Zl, Zp and Zs but the space, and the
// large unassigned areas. From Python's unicodedata 14.0.
constexpr Range kNotPrintable[] = {
    {0x0, 0x1F},        {0x7F, 0xA0},       {0xAD, 0xAD},       {0x600, 0x605},
    {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},
    {0x8E2, 0x8E2},     {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},
    {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},   {0xD7FC, 0xF8FF},
    {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0xFFFE, 0xFFFF},   {0x110BD, 0x110BD},
    {0x110CD, 0x110CD}, {0x13430, 0x13438}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
    {0x32000, 0xE00FF}, {0xE01F0, 0x10FFFF}};

bool is_printable(char32_t code) noexcept {
  const auto* range = std::lower_bound(std::begin(kNotPrintable), std::end(kNotPrintable), code,
                                       [](const Range& r, char32_t c) { return r.last < c; });
  return range == std::end(kNotPrintable) || code < range->first;
}

void append_escaped(std::string& out, char32_t code) {
  const auto number = static_cast<std::uint32_t>(code);
  if (code == '\n') {
    out += "\\n";
  } else if (code == '\r') {
    out += "\\r";
  } else if (code == '\t') {
    out += "\\t";
  } else if (number < 0x100) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", number);
  } else if (number < 0x10000) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", number);
  } else {
    fmt::format_to(std::back_inserter(out), "\\U{:08x}", number);
  }
}

}  // namespace

void append_python_repr(std::string& out, std::string_view utf8) {
  const bool has_single = utf8.find('\'') != utf8.npos;
  const char quote = has_single && utf8.find('"') == utf8.npos ? '"' : '\'';
  out += quote;
  const auto is_plain = [quote](char c) { return c >= ' ' && c <= '~' && c != quote && c != '\\'; };
  while (!utf8.empty()) {
    const auto run = std::find_if_not(utf8.begin(), utf8.end(), is_plain) - utf8.begin();
    out += utf8.substr(0, static_cast<std::size_t>(run));
    utf8.remove_prefix(static_cast<std::size_t>(run));
    if (utf8.empty()) break;
    const CodePoint code = first_code_point(utf8);
    if (code.size == 0) {
      throw std::invalid_argument(fmt::format("key name has byte 0x{:02x}, which is not UTF-8",
                                              static_cast<unsigned char>(utf8.front())));
    }
    if (code.value == static_cast<unsigned char>(quote) || code.value == '\\') {
      out += '\\';
      out += utf8.front();
    } else if (is_printable(code.value)) {
      out += utf8.substr(0, code.size);
    } else {
      append_escaped(out, code.value);
    }
    utf8.remove_prefix(code.size);
  }
  out += quote;
}

}  // namespace cairn::internal
