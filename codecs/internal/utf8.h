#pragma once
// UTF-8, decoded strictly (Unicode 15, table 3-7): what Python's str accepts.

#include <cstddef>
#include <string_view>

namespace cairn::internal {

struct CodePoint {
  char32_t value = 0;
  std::size_t size =
      0;  ///< bytes of its encoding; 0 when the text does not start with a code point
};

/// The first code point of `text`. Overlong forms, surrogates and values above U+10FFFF are none.
[[nodiscard]] inline CodePoint first_code_point(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return {};
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return {};
  char32_t value = lead & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return {};
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[size] || value > 0x10FFFF) return {};
  if (value >= 0xD800 && value <= 0xDFFF) return {};
  return {value, size};
}

}  // namespace cairn::internal
