#pragma once
// Taking the elements of a tree over: each extent's chunks are copied to their places in a staging
// buffer (layout.h), while their crc32c and, for incremental saves, their content hashes are
// computed.

#include <cairn/codecs/cairn_record.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/storage.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

/// Lives as long as its layout. fill() of different extents may be under way at once.
class ExtentCapture {
 public:
  ExtentCapture(EnginePtr engine, const ItemLayout& layout, bool hashing);

  /// The extent's chunks to `to`, which has its staging_bytes; gaps and padding are zeroed.
  Task<void> fill(std::size_t extent, std::byte* to);
  /// The elements of one chunk of a Leaf.
  Task<void> fill_leaf_chunk(ChunkPlace place, std::byte* to);
  /// Those of a chunk of any other node, and their crc32c behind them, which goes on from `seed`.
  void fill_view_chunk(const ChunkPlace& place, std::byte* to, std::uint32_t seed = 0) const;

  /// Of the chunk `place` of ItemLayout::placed, once its extent has been filled.
  [[nodiscard]] const ContentHash& hash(std::size_t place) const { return hashes_[place]; }
  [[nodiscard]] std::span<const ChunkPlace> places(const Extent& extent) const {
    return std::span(layout_.placed).subspan(extent.first, extent.count);
  }

 private:
  void fill_views(const Extent& extent, std::byte* to);
  /// Returns the header's crc32c, from which that of the frame goes on.
  static std::uint32_t put_header(const ArrayLayout& array, std::byte* elements);

  EnginePtr engine_;
  const ItemLayout& layout_;
  std::vector<ContentHash> hashes_;
};

}  // namespace cairn::internal
