#pragma once
// From elements in memory to stored bytes. Pure; runs on the CPU pool.

#include <cairn/manager/internal/layout.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

/// One chunk's stored bytes in a buffer.
struct Piece {
  Piece() = default;
  std::size_t place = 0;     ///< index into ItemLayout::placed
  std::size_t offset = 0;    ///< in the buffer, bytes
  std::size_t length = 0;    ///< stored bytes
  std::uint32_t crc32c = 0;  ///< of them, without a checksum that the chain itself appends
  std::string value;         ///< the bytes themselves, where they go into the database
};

/// Pieces of one buffer, and how much of it they fill, rounded up to kFileAlignment.
struct PieceList {
  PieceList() = default;
  std::vector<Piece> pieces;
  std::size_t bytes = 0;
};

/// The chunks of `extent` whose `wanted` flag is set (all, when it is empty), encoded from
/// `staging` to `to`, which has room for extent.encoded_bytes; gaps and padding are zeroed. In an
/// OCDBT layout those that became small enough leave the buffer for the database.
[[nodiscard]] PieceList encode_extent(const ItemLayout& layout, const Extent& extent,
                                      const std::vector<bool>& wanted, const std::byte* staging,
                                      std::span<std::byte> to);
/// All of them as they lie in `staging`, raw or in frames that hold them as they are.
[[nodiscard]] PieceList pieces_as_staged(const ItemLayout& layout, const Extent& extent,
                                         const std::byte* staging);
/// The same of those that are `wanted`, one behind the other in `to`.
[[nodiscard]] PieceList copy_as_staged(const ItemLayout& layout, const Extent& extent,
                                       const std::vector<bool>& wanted, const std::byte* staging,
                                       std::span<std::byte> to);
/// Whether stored bytes of that many are a frame that holds the chunk of an encoded array as it is:
/// because the disk was waiting, or because nothing was gained.
[[nodiscard]] bool is_left_as_it_was(const ArrayLayout& array, std::uint64_t stored_bytes);
/// The stored bytes of one chunk, of which there are array.stored_bytes at most, from its elements,
/// behind which there is their crc32c. Returns how many there are.
std::size_t encode_chunk(const ArrayLayout& array, const std::byte* elements, std::byte* to);

}  // namespace cairn::internal
