#include <cairn/codecs/internal/byte_io.h>
#include <fmt/format.h>

#include <stdexcept>

namespace cairn::internal {

std::string to_string(const Field& field) {
  if (field.record.empty()) return std::string(field.name);
  return fmt::format("{} {}: {}", field.record, field.index, field.name);
}

std::uint64_t ByteReader::long_varint(const Field& field) {
  field_start_ = position_;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kMaxVarintBytes; ++i) {
    if (position_ + i == bytes_.size()) ends_early(field, i + 1);
    const auto byte = static_cast<unsigned char>(bytes_[position_ + i]);
    // The tenth byte has room for one bit only, 7 * 9 being 63.
    if (i + 1 == kMaxVarintBytes && byte > 1) break;
    value |= std::uint64_t{byte & 0x7fu} << (7 * i);
    if (byte >= 0x80) continue;
    if (byte == 0 && i != 0) {
      fail(field, fmt::format("{} in {} bytes", value, i + 1), "the shortest form of a varint");
    }
    position_ += i + 1;
    return value;
  }
  fail(field, "a varint of more than 64 bits", "at most 64 bits");
}

void ByteReader::expect_room(std::uint64_t count, std::uint64_t bytes_each, const Field& field,
                             std::uint64_t spared) const {
  const auto most = (remaining() + spared) / bytes_each;
  if (count <= most) return;
  fail(field, std::to_string(count),
       fmt::format("at most {}: {} bytes are left and each takes {} or more", most, remaining(),
                   bytes_each));
}

void ByteReader::expect_end() const {
  if (remaining() == 0) return;
  throw error("end", position_, fmt::format("{} bytes after the last field", remaining()), "none",
              FormatError::Kind::damaged);
}

FormatError ByteReader::error(std::string field, std::uint64_t at, std::string found,
                              std::string allowed, FormatError::Kind kind) const {
  std::optional<std::uint64_t> offset;
  if (start_) {
    offset = *start_ + at;
  } else {
    field += fmt::format(" at byte {}", at);
  }
  return FormatError(std::string(structure_), std::move(field), std::move(found),
                     std::move(allowed), offset, kind);
}

void ByteReader::fail(const Field& field, std::string found, std::string allowed) const {
  throw error(to_string(field), field_start_, std::move(found), std::move(allowed),
              FormatError::Kind::damaged);
}

void ByteReader::reject(const Field& field, std::string found, std::string allowed) const {
  throw FormatError(std::string(structure_), to_string(field), std::move(found),
                    std::move(allowed));
}

void ByteReader::unsupported(const Field& field, std::string found, std::string allowed) const {
  throw error(to_string(field), field_start_, std::move(found), std::move(allowed),
              FormatError::Kind::unsupported);
}

void ByteReader::ends_early(const Field& field, std::size_t wanted) const {
  fail(field, fmt::format("{} bytes before the end", remaining()),
       fmt::format("{} bytes or more", wanted));
}

void ByteReader::too_large(const Field& field, std::uint64_t found, std::uint64_t max) const {
  fail(field, std::to_string(found), fmt::format("at most {}", max));
}

void ByteWriter::fail(const Field& field, std::string found, std::string allowed) const {
  throw std::invalid_argument(
      fmt::format("{}: {}: found {}, allowed {}", structure_, to_string(field), found, allowed));
}

void ByteWriter::too_large(const Field& field, std::uint64_t found, std::uint64_t max) const {
  fail(field, std::to_string(found), fmt::format("at most {}", max));
}

}  // namespace cairn::internal
