#include <cairn/codecs/format_error.h>

#include <utility>

namespace cairn {
namespace {

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
    : std::runtime_error(message(structure, field, found, allowed, offset)),
      structure_(std::move(structure)),
      field_(std::move(field)),
      found_(std::move(found)),
      allowed_(std::move(allowed)),
      offset_(offset),
      kind_(kind) {}

}  // namespace cairn
