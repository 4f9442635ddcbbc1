#pragma once
// What every decoder throws: where in which structure, what was found and what is allowed. Encoders
// and argument checks throw std::invalid_argument.

#include <cairn/export.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace cairn {

/// Bytes that do not follow their format. The manager adds the file's path.
class CAIRN_EXPORT FormatError : public std::runtime_error {
 public:
  enum class Kind : std::uint8_t {
    damaged,     ///< nobody can have meant to write this
    unsupported  ///< it may be sound, but this version cannot read it: a newer version, another
                 ///< codec
  };
  /// `structure`: "OCDBT manifest", "zarr.json", ...; `field`: e.g. "num_entries" or "entry 3:
  /// offset"; `found`, `allowed`: values in words; `offset`: bytes from the start of the structure,
  /// if known. Names and values may be a file's own bytes: what is not printable text is kept as
  /// "\x1b", and long ones are cut.
  FormatError(std::string structure, std::string field, std::string found, std::string allowed,
              std::optional<std::uint64_t> offset = std::nullopt, Kind kind = Kind::damaged);

  /// The same error with an offset, for a caller who alone knows the place.
  [[nodiscard]] FormatError at(std::uint64_t offset) const;

  /// What the constructor got, in printable text.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] const std::string& structure() const noexcept { return structure_; }
  [[nodiscard]] const std::string& field() const noexcept { return field_; }
  [[nodiscard]] const std::string& found() const noexcept { return found_; }
  [[nodiscard]] const std::string& allowed() const noexcept { return allowed_; }
  [[nodiscard]] std::optional<std::uint64_t> offset() const noexcept { return offset_; }

 private:
  struct Readable {};
  FormatError(Readable, std::string structure, std::string field, std::string found,
              std::string allowed, std::optional<std::uint64_t> offset, Kind kind);
  std::string structure_, field_, found_, allowed_;
  std::optional<std::uint64_t> offset_;
  Kind kind_;
};

}  // namespace cairn
