#pragma once
// Reading and writing of binary structures, one primitive at a time. ByteReader and ByteWriter
// offer the same calls, so that a structure is described once, in a template over the two, and
// encoder and decoder cannot drift apart. Every limit is checked in both directions: FormatError
// here, std::invalid_argument there.

#include <cairn/codecs/format_error.h>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cairn::internal {

/// The longest LEB128 form of 64 bits.
inline constexpr std::size_t kMaxVarintBytes = 10;

/// Names what is being read; text is made of it only when something is wrong.
struct Field {
  Field(const char* n) : name(n) {}  // NOLINT(google-explicit-constructor): literals are fields
  Field(std::string_view r, std::uint64_t i, std::string_view n) : record(r), index(i), name(n) {}
  std::string_view record;  ///< "entry", "file", ...; empty for a field that is not in an array
  std::uint64_t index = 0;
  std::string_view name;
};
[[nodiscard]] std::string to_string(const Field& field);  ///< "num_entries", "entry 3: offset"

/// Bytes of `value` in LEB128.
[[nodiscard]] constexpr std::size_t varint_size(std::uint64_t value) noexcept {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

/// Reads from borrowed bytes.
class ByteReader {
 public:
  static constexpr bool kReads = true;

  /// `structure` is for errors; `start` is where `bytes` begin in it; none: they are not in it as
  /// they are stored, so that an offset in them is for the text of an error alone.
  ByteReader(std::string_view bytes, std::string_view structure,
             std::optional<std::uint64_t> start = 0)
      : bytes_(bytes), structure_(structure), start_(start) {}

  /// Unsigned LEB128 in its shortest form, at most `max`.
  template <std::unsigned_integral T>
  void varint(T& value, const Field& field, std::uint64_t max = std::numeric_limits<T>::max()) {
    std::uint64_t wide = 0;
    if (position_ < bytes_.size() && static_cast<unsigned char>(bytes_[position_]) < 0x80) {
      field_start_ = position_;
      wide = static_cast<unsigned char>(bytes_[position_++]);
    } else {
      wide = long_varint(field);
    }
    if (wide > max) too_large(field, wide, max);
    value = static_cast<T>(wide);
  }
  void u8(std::uint8_t& value, const Field& field, std::uint8_t max = 0xff) {
    value = static_cast<std::uint8_t>(bytes(1, field)[0]);
    if (value > max) too_large(field, value, max);
  }
  template <std::integral T>
  void little_endian(T& value, const Field& field) {
    std::memcpy(&value, bytes(sizeof(T), field).data(), sizeof(T));
  }
  /// The next `count` bytes, borrowed.
  std::string_view bytes(std::size_t count, const Field& field) {
    field_start_ = position_;
    if (count > remaining()) ends_early(field, count);
    const auto part = bytes_.substr(position_, count);
    position_ += count;
    return part;
  }
  void raw(std::span<std::byte> to, const Field& field) {
    std::memcpy(to.data(), bytes(to.size(), field).data(), to.size());
  }

  /// Throws unless the remaining bytes can hold `count` records of at least `bytes_each` (all but
  /// `spared` bytes of the first): called before anything is allocated for them.
  void expect_room(std::uint64_t count, std::uint64_t bytes_each, const Field& field,
                   std::uint64_t spared = 0) const;
  void expect_end() const;

  [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - position_; }
  /// From the start of the structure, or of the bytes where they are not in it.
  [[nodiscard]] std::uint64_t offset() const noexcept { return start_.value_or(0) + position_; }
  /// Throws about the field that was read last, or tried.
  [[noreturn]] void fail(const Field& field, std::string found, std::string allowed) const;
  /// Throws about a field that was read earlier, so that its offset is not known.
  [[noreturn]] void reject(const Field& field, std::string found, std::string allowed) const;
  /// As fail(), about bytes that may be sound but that this version cannot read.
  [[noreturn]] void unsupported(const Field& field, std::string found, std::string allowed) const;

 private:
  [[nodiscard]] FormatError error(std::string field, std::uint64_t at, std::string found,
                                  std::string allowed, FormatError::Kind kind) const;
  std::uint64_t long_varint(const Field& field);
  [[noreturn]] void ends_early(const Field& field, std::size_t wanted) const;
  [[noreturn]] void too_large(const Field& field, std::uint64_t found, std::uint64_t max) const;

  std::string_view bytes_;
  std::string_view structure_;
  std::optional<std::uint64_t> start_;
  std::size_t position_ = 0;
  std::size_t field_start_ = 0;
};

/// Appends to a string.
class ByteWriter {
 public:
  static constexpr bool kReads = false;

  ByteWriter(std::string& to, std::string_view structure) : to_(to), structure_(structure) {}

  template <std::unsigned_integral T>
  void varint(const T& value, const Field& field,
              std::uint64_t max = std::numeric_limits<T>::max()) {
    std::uint64_t rest = value;
    if (rest > max) too_large(field, rest, max);
    char buffer[kMaxVarintBytes];
    std::size_t size = 0;
    for (; rest >= 0x80; rest >>= 7) buffer[size++] = static_cast<char>(rest | 0x80);
    buffer[size++] = static_cast<char>(rest);
    if (size == 1) {
      to_.push_back(buffer[0]);
    } else {
      to_.append(buffer, size);
    }
  }
  void u8(const std::uint8_t& value, const Field& field, std::uint8_t max = 0xff) {
    if (value > max) too_large(field, value, max);
    to_.push_back(static_cast<char>(value));
  }
  template <std::integral T>
  void little_endian(const T& value, const Field&) {
    char buffer[sizeof(T)];
    std::memcpy(buffer, &value, sizeof(T));
    to_.append(buffer, sizeof(T));
  }
  void bytes(std::string_view part) { to_.append(part); }
  void raw(std::span<const std::byte> from, const Field&) {
    to_.append(reinterpret_cast<const char*>(from.data()), from.size());
  }

  [[noreturn]] void fail(const Field& field, std::string found, std::string allowed) const;
  [[noreturn]] void reject(const Field& field, std::string found, std::string allowed) const {
    fail(field, std::move(found), std::move(allowed));
  }

 private:
  [[noreturn]] void too_large(const Field& field, std::uint64_t found, std::uint64_t max) const;

  std::string& to_;
  std::string_view structure_;
};

static_assert(std::endian::native == std::endian::little, "little_endian() copies memory");

}  // namespace cairn::internal
