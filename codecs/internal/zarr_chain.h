#pragma once
// Codec chains: their rules, and the parts that the coding of chunks takes them in.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/zarr.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::zarr::internal {

inline constexpr std::size_t kMaxCodecs = 16;     ///< more is damage; a real chain has two or three
inline constexpr std::size_t kMaxShardDepth = 4;  ///< shards in shards; real arrays have one level
inline constexpr Index kMaxCells = Index{1} << 30;   ///< of one shard; TensorStore's limit
inline constexpr std::size_t kChecksumBytes = 4;     ///< crc32c appends a 32-bit number
inline constexpr std::size_t kIndexEntryBytes = 16;  ///< offset and length of a cell
inline constexpr int kMaxBloscTypesize = 255;        ///< Blosc's header has one byte for it

/// The bytes codec names a byte order exactly for elements of several bytes.
[[nodiscard]] inline bool has_endian(DType dtype) noexcept {
  return size_of(dtype) > 1;
}
/// The unit of byte order: an element, or a part of a complex number.
[[nodiscard]] std::size_t swap_width(DType dtype) noexcept;
/// Swaps the bytes of every such unit.
void swap_bytes(std::span<std::byte> elements, DType dtype) noexcept;

/// A rule that a chain breaks; `field` is the place, as in "codecs[1]/configuration/level".
struct ChainFault {
  std::string field, found, allowed;
};
/// The first one; `where` is the member that holds the chain ("codecs").
[[nodiscard]] std::optional<ChainFault> find_fault(Format format, const CodecChain& codecs,
                                                   std::span<const Index> chunk_shape,
                                                   const std::string& where);

/// Throws std::invalid_argument when there is one.
void require_sound(const ArrayMetadata& metadata);

/// A chain without faults, by what its codecs take and give. Borrows it.
struct ChainParts {
  explicit ChainParts(const CodecChain& codecs);
  std::span<const Codec> transposes;
  const Codec* serializer;             ///< Bytes or Sharding
  std::span<const Codec> byte_codecs;  ///< compressors and checksums
  [[nodiscard]] const Sharding* sharding() const noexcept {
    return std::get_if<Sharding>(&serializer->value);
  }
  [[nodiscard]] bool big_endian() const noexcept;
  /// Place in the chain of byte_codecs[i].
  [[nodiscard]] std::size_t index_of(std::size_t i) const noexcept {
    return transposes.size() + 1 + i;
  }
};

/// All transposes in one: dimension i of the encoded chunk is dimension [i] of the chunk. Empty
/// when nothing moves.
[[nodiscard]] std::vector<std::size_t> permutation_of(std::span<const Codec> transposes,
                                                      std::size_t rank);
[[nodiscard]] Shape permuted(std::span<const Index> values, std::span<const std::size_t> order);

[[nodiscard]] inline bool is_checksum(const Codec& codec) noexcept {
  return std::holds_alternative<Crc32c>(codec.value);
}

/// Inner chunks along each axis of a shard.
[[nodiscard]] Shape cell_grid(const Sharding& sharding, std::span<const Index> shard_shape);
[[nodiscard]] std::size_t index_bytes(const Sharding& sharding, std::size_t cells) noexcept;

}  // namespace cairn::zarr::internal
