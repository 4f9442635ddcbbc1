#pragma once
// Which bytes of which files a read needs. Pure; runs on the CPU pool.

#include <cairn/manager/internal/item_index.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

/// What is read: leaves of an item, as its index has them or narrowed to less.
struct ReadScope {
  ReadScope(const ItemIndex& i)  // NOLINT(google-explicit-constructor)
      : index(i), leaves(i.leaves()) {}
  ReadScope(const ItemIndex& i, std::span<const StoredLeaf> l) : index(i), leaves(l) {}
  const ItemIndex& index;
  std::span<const StoredLeaf> leaves;
};

/// A chunk, or an inner chunk of a shard, and its bytes.
struct ChunkPiece {
  std::uint32_t leaf = 0;  ///< index into ReadScope::leaves
  std::uint64_t chunk = 0;
  std::optional<std::uint64_t> inner;  ///< in the shard's own grid; none: all of the chunk
  std::uint64_t offset = 0;            ///< in the file, or in the inlined value, bytes
  std::uint64_t length = 0;            ///< bytes
};

/// A piece of an array, as what becomes of its elements needs to know it.
struct PieceView {
  PieceView(const StoredLeaf& l, const ChunkPiece& piece);
  const StoredLeaf& leaf;
  const StoredArray& array;  ///< whose chunk the piece is: the leaf's, or its shard's
  IndexRange box;            ///< in the leaf's array, not clipped to it
  /// What is wanted of it.
  IndexRange wanted;
};

/// Pieces that lie near each other in a file and are read as one.
struct ReadExtent {
  ReadExtent() = default;
  std::uint32_t file = 0;
  bool whole_file = false;  ///< one piece, which is all of the file
  std::uint64_t begin = 0;  ///< in the file, bytes
  std::uint64_t end = 0;
  std::vector<ChunkPiece> pieces;
};

struct ReadPlan {
  ReadPlan() = default;
  struct Inlined {
    ChunkPiece piece;
    std::size_t entry = 0;  ///< index into the database's entries
  };
  std::vector<Inlined> inlined;
  std::vector<ReadExtent> extents;  ///< by file and offset
  /// Shards that are read by inner chunks: one piece each.
  std::vector<ReadExtent> shards;
  std::vector<std::uint32_t> incomplete;  ///< leaves with chunks that are not there
};

/// What the leaves of `scope` need. Chunks that are missing where that is damage, or whose lengths
/// are impossible, go to `sink`.
[[nodiscard]] ReadPlan plan_reads(const ReadScope& scope, const DamageSink& sink);
/// Whether a chunk is a shard whose inner chunks are read each by itself: some are wanted alone, or
/// all together would take much memory.
[[nodiscard]] bool by_inner_chunks(const StoredLeaf& leaf, std::uint64_t chunk);
/// Joins pieces of one file, in any order, into extents.
[[nodiscard]] std::vector<ReadExtent> join_pieces(std::uint32_t file,
                                                  std::vector<ChunkPiece> pieces);
/// What a chunk of `length` stored bytes may decode to; one that claims more is at fault.
[[nodiscard]] std::uint64_t decoded_bytes_max(const StoredArray& array, std::uint64_t length);
/// What is wrong with a chunk of `length` stored bytes, as far as that tells; empty: nothing.
/// `array_bytes`: of all elements that the leaf's array has.
[[nodiscard]] std::string length_fault(const StoredArray& array, std::uint64_t length,
                                       std::uint64_t array_bytes);
/// "chunk c/0/1: reason", as an error of the leaf.
[[nodiscard]] Error chunk_error(const ReadScope& scope, const ChunkPiece& piece, std::string reason,
                                std::string path,
                                std::optional<std::uint64_t> offset = std::nullopt);
/// The same of a chunk that could not be read because of `cause`.
[[nodiscard]] Error chunk_error(const ReadScope& scope, const ChunkPiece& piece,
                                const Error& cause);

}  // namespace cairn::internal
