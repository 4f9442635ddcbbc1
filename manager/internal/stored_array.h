#pragma once
// What a reader knows of a zarr array before it reads a chunk, and arithmetic on its grid.

#include <cairn/codecs/leaf.h>
#include <cairn/codecs/zarr.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::internal {

/// Shared by all arrays whose metadata is the same text.
struct StoredArray {
  /// Throws FormatError on metadata whose chunks cannot be counted or held.
  explicit StoredArray(zarr::ArrayMetadata m);

  zarr::ArrayMetadata metadata;
  Shape grid;
  std::uint64_t chunks = 0;
  std::size_t chunk_bytes = 0;              ///< elements of one chunk
  std::optional<std::size_t> stored_bytes;  ///< of each chunk, where the codecs fix it
  std::size_t stored_bytes_max = 0;         ///< what a sound chunk has at most
  /// What a stored byte decodes to at most; none: parts of a chunk may be left out.
  std::optional<std::uint64_t> expansion;
  /// The stored bytes begin with the elements as they lie in memory.
  bool verbatim = false;
  /// A shard as an array of inner chunks; none where chunks are not sharded.
  std::shared_ptr<const StoredArray> inner;

  /// The box of a chunk, not clipped to the array.
  [[nodiscard]] IndexRange chunk_box(std::uint64_t chunk) const;
  [[nodiscard]] IndexRange whole() const {
    return {Shape(metadata.shape.size(), 0), metadata.shape};
  }
  [[nodiscard]] std::string chunk_key(std::uint64_t chunk) const;
  /// The chunk that `key` names, which chunk_key() would spell the same way; none for other keys.
  [[nodiscard]] std::optional<std::uint64_t> chunk_of(std::string_view key) const;
  /// Whether files of chunks may be below this key, "c" or "c/0", taken as a directory.
  [[nodiscard]] bool leads_to_chunks(std::string_view directory) const;
};
using StoredArrayPtr = std::shared_ptr<const StoredArray>;

/// Indices of `shape` in C order and back.
[[nodiscard]] Shape index_of(const Shape& shape, std::uint64_t linear);
[[nodiscard]] std::uint64_t linear_of(const Shape& shape, std::span<const Index> index);

/// What two boxes share; none when they do not meet.
[[nodiscard]] std::optional<IndexRange> intersection(const IndexRange& a, const IndexRange& b);
/// The chunks that a box of elements, not empty, touches: a box of the grid.
[[nodiscard]] IndexRange touched_chunks(const IndexRange& elements, const Shape& chunk_shape);
/// True for an index within the box.
[[nodiscard]] bool contains(const IndexRange& box, std::span<const Index> index);

}  // namespace cairn::internal
