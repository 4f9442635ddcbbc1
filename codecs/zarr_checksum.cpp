// Checksums in chunks, and the errors that say in which.

#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/internal/zarr_chunk.h>
#include <fmt/format.h>

#include <cstring>

namespace cairn::zarr::internal {

std::string to_string(const Place* place) {
  if (place == nullptr) return "";
  return fmt::format("{}cell {}: ", to_string(place->outer), place->cell);
}

void fail_chunk(const Place* place, const std::string& field, std::string found,
                std::string allowed) {
  throw FormatError("chunk", to_string(place) + field, std::move(found), std::move(allowed));
}

// An empty content is sound here: whether it is enough, the codec before it says.
std::span<const std::byte> checked_content(std::span<const std::byte> stored,
                                           const std::string& field, const Place* place) {
  if (stored.size() < kChecksumBytes) {
    fail_chunk(place, field, fmt::format("{} bytes", stored.size()),
               fmt::format("at least {}", kChecksumBytes));
  }
  const auto content = stored.first(stored.size() - kChecksumBytes);
  std::uint32_t expected = 0;
  std::memcpy(&expected, content.data() + content.size(), kChecksumBytes);
  const std::uint32_t found = crc32c(content);
  if (found != expected) {
    fail_chunk(place, field, fmt::format("{:#010x} over the {} bytes", found, content.size()),
               fmt::format("{:#010x}, as stored", expected));
  }
  return content;
}

std::size_t append_checksum(std::span<std::byte> to, std::size_t size) {
  const std::uint32_t checksum = crc32c(to.first(size));
  std::memcpy(to.data() + size, &checksum, kChecksumBytes);
  return size + kChecksumBytes;
}

}  // namespace cairn::zarr::internal
