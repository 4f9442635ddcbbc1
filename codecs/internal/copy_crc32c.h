#pragma once
// The variants of copy_crc32c(), so that tests reach those that this processor would not choose.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cairn::internal {

/// Copies whole cache lines past the cache; `to` is aligned to one. `next` are the 16 KiB that will
/// be read next, to be fetched meanwhile; null: there are none.
using Stream = void (*)(std::byte* to, const std::byte* from, std::size_t bytes,
                        const std::byte* next);

/// Those that the processor has, slowest first; null, which is first, is a plain copy.
[[nodiscard]] std::vector<Stream> usable_streams();
[[nodiscard]] std::uint32_t copy_crc32c_with(Stream stream, std::span<const std::byte> from,
                                             std::byte* to, std::uint32_t seed) noexcept;

}  // namespace cairn::internal
