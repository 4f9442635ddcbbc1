#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/readable.h>
#include <cairn/codecs/internal/utf8.h>
#include <fmt/format.h>

#include <utility>

namespace cairn {
namespace {

/// A name from a file can have megabytes; an error is for a person.
constexpr std::size_t kPartBytesMax = 400;

// What a terminal would act on, and what is not text, as \xNN.
bool is_shown(internal::CodePoint c) noexcept {
  return c.size != 0 && c.value >= ' ' && (c.value < 0x7f || c.value > 0x9f);
}

}  // namespace

std::string internal::readable(std::string text) {
  if (text.empty()) return "\"\"";  // a name that is empty is one, too
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    if (shown.size() >= kPartBytesMax) {
      return shown + fmt::format("... ({} bytes)", text.size());
    }
    const auto c = internal::first_code_point(std::string_view(text).substr(at));
    if (is_shown(c)) {
      shown.append(text, at, c.size);
    } else {
      const auto size = c.size == 0 ? 1 : c.size;
      for (std::size_t i = at; i < at + size; ++i) {
        shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
      }
    }
    at += c.size == 0 ? 1 : c.size;
  }
  return shown;
}

namespace {

using internal::readable;

// "zarr.json: fill_value at byte 120: found "x"; allowed: an integer".
std::string message(const std::string& structure, const std::string& field,
                    const std::string& found, const std::string& allowed,
                    std::optional<std::uint64_t> offset) {
  std::string text = structure + ": " + field;
  if (offset) text += " at byte " + std::to_string(*offset);
  return text + ": found " + found + "; allowed: " + allowed;
}

}  // namespace

FormatError::FormatError(std::string structure, std::string field, std::string found,
                         std::string allowed, std::optional<std::uint64_t> offset, Kind kind)
    : FormatError(Readable(), readable(std::move(structure)), readable(std::move(field)),
                  readable(std::move(found)), readable(std::move(allowed)), offset, kind) {}

FormatError::FormatError(Readable, std::string structure, std::string field, std::string found,
                         std::string allowed, std::optional<std::uint64_t> offset, Kind kind)
    : std::runtime_error(message(structure, field, found, allowed, offset)),
      structure_(std::move(structure)),
      field_(std::move(field)),
      found_(std::move(found)),
      allowed_(std::move(allowed)),
      offset_(offset),
      kind_(kind) {}

FormatError FormatError::at(std::uint64_t offset) const {
  return {Readable(), structure_, field_, found_, allowed_, offset, kind_};
}

}  // namespace cairn
