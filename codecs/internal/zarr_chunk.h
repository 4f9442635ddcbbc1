#pragma once
// Chunks and shards, one in the other: what the two sources that code them need of each other.

#include <cairn/codecs/internal/zarr_chain.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace cairn::zarr::internal {

/// The shard cells that a chunk lies in. Text is made of it only for an error.
struct Place {
  const Place* outer = nullptr;
  std::uint64_t cell = 0;
};
/// "cell 3: cell 0: "; empty for the outermost chunk, which is `nullptr`.
[[nodiscard]] std::string to_string(const Place* place);
/// Throws FormatError about `field` of a chunk.
[[noreturn]] void fail_chunk(const Place* place, const std::string& field, std::string found,
                             std::string allowed);

/// What the elements of a chunk are.
struct ChunkType {
  DType dtype = DType::float32;
  std::span<const Index> shape;
  std::span<const std::byte> fill_value;  ///< one element, or empty: zero
};

/// A chunk by a chain without faults. encode_chain() returns the bytes written to `to`, which has
/// room for the chain's bound; `elements` have byte_count(type) bytes in both.
[[nodiscard]] std::size_t encode_chain(const CodecChain& codecs, const ChunkType& type,
                                       std::span<const std::byte> elements,
                                       std::span<std::byte> to);
void decode_chain(const CodecChain& codecs, const ChunkType& type,
                  std::span<const std::byte> stored, std::span<std::byte> elements,
                  const Place* place);
void check_chain(const CodecChain& codecs, const ChunkType& type, std::span<const std::byte> stored,
                 const Place* place);

/// The same for a shard, whose shape is type.shape.
[[nodiscard]] std::size_t encode_shard(const Sharding& sharding, const ChunkType& type,
                                       std::span<const std::byte> elements,
                                       std::span<std::byte> to);
void decode_shard(const Sharding& sharding, const ChunkType& type,
                  std::span<const std::byte> stored, std::span<std::byte> elements,
                  const Place* place);
void check_shard(const Sharding& sharding, const ChunkType& type, std::span<const std::byte> stored,
                 const Place* place);

/// Verifies the crc32c at the end of `stored` and returns what comes before it. `field` is for
/// errors ("codecs[2] crc32c").
[[nodiscard]] std::span<const std::byte> checked_content(std::span<const std::byte> stored,
                                                         const std::string& field,
                                                         const Place* place);
/// Writes the crc32c of the first `size` bytes of `to` after them; returns the new size.
[[nodiscard]] std::size_t append_checksum(std::span<std::byte> to, std::size_t size);

}  // namespace cairn::zarr::internal
