#pragma once
// CRC-32C (Castagnoli, RFC 3720 appendix B.4), by ISA-L.

#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn {

/// crc32c("123456789") == 0xE3069283. To go on from an earlier part, pass its result as `seed`.
[[nodiscard]] CAIRN_EXPORT std::uint32_t crc32c(std::span<const std::byte> bytes,
                                                std::uint32_t seed = 0) noexcept;
/// Copies `from` to `to` (no overlap) in cache-sized blocks and returns the crc32c of the bytes, so
/// that memory is read once. Large copies use non-temporal stores where the processor has them.
[[nodiscard]] CAIRN_EXPORT std::uint32_t copy_crc32c(std::span<const std::byte> from, std::byte* to,
                                                     std::uint32_t seed = 0) noexcept;

}  // namespace cairn
