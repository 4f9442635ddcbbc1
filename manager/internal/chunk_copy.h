#pragma once
// Moving one chunk between an array in memory and its stored form: elements in dense C order,
// padded with zeros to the full chunk shape, then their crc32c, little-endian. Pure; runs on the
// CPU pool.

#include <cairn/codecs/array.h>
#include <cairn/codecs/leaf.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace cairn::internal {

inline constexpr std::size_t kChecksumBytes = 4;

/// The memory of `range` where it is one dense run of `view`; none where it is not.
[[nodiscard]] std::optional<std::span<const std::byte>> dense_run(const ArrayView& view,
                                                                  const IndexRange& range);
/// Writes the stored form of `range` of `view`, cast to `dtype`, to `to`, which has room for a
/// chunk of `chunk_shape` and its checksum. `seed`: the crc32c of what is stored before the
/// elements.
void store_chunk(const ArrayView& view, const IndexRange& range, DType dtype,
                 std::span<const Index> chunk_shape, std::byte* to, std::uint32_t seed = 0);
/// The same of elements that lie as they are stored.
void store_run(std::span<const std::byte> elements, std::byte* to, std::uint32_t seed = 0);
/// Appends the checksum to `elements` bytes at `to`.
void append_checksum(std::byte* to, std::size_t elements, std::uint32_t seed = 0);

}  // namespace cairn::internal
