#pragma once
// Structures whose last four bytes are the crc32c of all before them, little endian: Cairn's own
// and those of OCDBT.

#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/internal/byte_io.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace cairn::internal {

inline constexpr std::size_t kChecksumBytes = 4;

[[nodiscard]] inline std::uint32_t checksum_of(std::string_view bytes) noexcept {
  return crc32c(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

/// Of all that `bytes` has so far.
inline void append_checksum(std::string& bytes, std::string_view structure) {
  const std::uint32_t crc = checksum_of(bytes);
  ByteWriter(bytes, structure).little_endian(crc, "checksum");
}

/// What the checksum at the end of `bytes` covers, borrowed; FormatError where it is another.
[[nodiscard]] inline std::string_view without_checksum(std::string_view bytes,
                                                       std::string_view structure) {
  const ByteReader whole(bytes, structure);
  if (bytes.size() < kChecksumBytes) {
    whole.reject("checksum", fmt::format("{} bytes", bytes.size()),
                 fmt::format("{} bytes or more", kChecksumBytes));
  }
  const auto covered = bytes.substr(0, bytes.size() - kChecksumBytes);
  std::uint32_t stored = 0;
  std::memcpy(&stored, bytes.data() + covered.size(), sizeof(stored));
  if (const auto computed = checksum_of(covered); computed != stored) {
    whole.reject("checksum", fmt::format("{:08x}", stored),
                 fmt::format("{:08x}, the crc32c of the bytes", computed));
  }
  return covered;
}

/// Of one of Cairn's own structures in an item, right after its version was read: FormatError
/// unless it is 1 to `newest`.
inline void check_version(const ByteReader& reader, std::uint32_t version, std::uint32_t newest) {
  if (version == 0) reader.fail("version", "0", "1 or more");
  if (version > newest) {
    reader.unsupported("version", std::to_string(version),
                       fmt::format("1 to {}; read the item with a newer version", newest));
  }
}

}  // namespace cairn::internal
