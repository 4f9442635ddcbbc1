#include <cairn/codecs/cast.h>
#include <cairn/codecs/crc32c.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/extent_capture.h>
#include <cairn/manager/internal/source_reader.h>

#include <algorithm>
#include <cstring>

namespace cairn::internal {
namespace {

/// What a part and a chunk of a leaf share.
struct Overlap {
  Overlap() = default;
  IndexRange in_part;         ///< indices within the part
  std::ptrdiff_t offset = 0;  ///< of its first element in the chunk, bytes
  bool empty = false;
};

Overlap overlap_of(const IndexRange& chunk, const IndexRange& part,
                   std::span<const Index> strides) {
  const std::size_t rank = chunk.origin.size();
  Overlap overlap;
  overlap.in_part = IndexRange{Shape(rank), Shape(rank)};
  for (std::size_t d = 0; d < rank; ++d) {
    const Index begin = std::max(chunk.origin[d], part.origin[d]);
    const Index end = std::min(chunk.origin[d] + chunk.shape[d], part.origin[d] + part.shape[d]);
    overlap.empty = overlap.empty || begin >= end;
    overlap.in_part.origin[d] = begin - part.origin[d];
    overlap.in_part.shape[d] = end - begin;
    overlap.offset += (begin - chunk.origin[d]) * strides[d];
  }
  return overlap;
}

/// The elements of a leaf that is one chunk, where they lie as they are stored: of very many small
/// arrays nearly all.
std::optional<std::span<const std::byte>> whole_leaf(const Tree& node, const ArrayLayout& array) {
  const auto suits = [&](DType dtype, std::size_t bytes) {
    return array.chunks == 1 && array.metadata.dtype == dtype && array.chunk_bytes == bytes;
  };
  if (const auto* own = std::get_if<Array>(&node.value())) {
    if (suits(own->dtype(), own->bytes().size())) return own->bytes();
  } else if (const auto* view = std::get_if<ArrayView>(&node.value())) {
    const std::size_t bytes = static_cast<std::size_t>(view->size()) * size_of(view->dtype());
    if (view->contiguous() && suits(view->dtype(), bytes)) return std::span(view->data(), bytes);
  }
  return std::nullopt;
}

}  // namespace

ExtentCapture::ExtentCapture(EnginePtr engine, const ItemLayout& layout, bool hashing)
    : engine_(std::move(engine)), layout_(layout) {
  if (hashing) hashes_.resize(layout.placed.size());
}

// The header of a frame that holds the elements as they are goes into the room before them.
std::uint32_t ExtentCapture::put_header(const ArrayLayout& array, std::byte* elements) {
  const std::span header(elements - blosc::kHeaderBytes, blosc::kHeaderBytes);
  blosc::store_header(array.chunk_bytes, size_of(array.metadata.dtype), header);
  return crc32c(header);
}

void ExtentCapture::fill_view_chunk(const ChunkPlace& place, std::byte* to,
                                    std::uint32_t seed) const {
  const ArrayLayout& array = layout_.array_of(place);
  const Tree& node = layout_.node_of(place);
  if (const auto elements = whole_leaf(node, array)) {
    store_run(*elements, to, seed);
    return;
  }
  std::byte scalar[sizeof(std::uint64_t)];
  store_chunk(elements_of(node, scalar), chunk_range(array, place.chunk), array.metadata.dtype,
              array.metadata.chunk_shape, to, seed);
}

void ExtentCapture::fill_views(const Extent& extent, std::byte* to) {
  std::size_t end = 0;
  for (std::size_t i = extent.first; i < extent.first + extent.count; ++i) {
    const ChunkPlace& place = layout_.placed[i];
    const ArrayLayout& array = layout_.array_of(place);
    std::byte* const elements = to + place.offset;
    std::memset(to + end, 0, place.offset - end);  // the gap to the next aligned place
    end = place.offset + array.chunk_bytes + kChecksumBytes;
    const std::uint32_t before = is_gated(extent.encoding) ? put_header(array, elements) : 0;
    if (layout_.node_of(place).is<Leaf>()) {
      append_checksum(elements, array.chunk_bytes, before);
    } else {
      fill_view_chunk(place, elements, before);
    }
    if (!hashes_.empty()) hashes_[i] = hash_of(std::span(elements, array.chunk_bytes));
  }
  std::memset(to + end, 0, extent.staging_bytes - end);
}

Task<void> ExtentCapture::fill(std::size_t index, std::byte* to) {
  const Extent& extent = layout_.extents[index];
  for (const ChunkPlace& place : places(extent)) {
    if (layout_.node_of(place).is<Leaf>()) co_await fill_leaf_chunk(place, to + place.offset);
  }
  auto views = [this, &extent, to] { fill_views(extent, to); };
  co_await engine::async_run(engine_->cpu(), std::move(views), asio::use_awaitable);
}

Task<void> ExtentCapture::fill_leaf_chunk(ChunkPlace place, std::byte* to) {
  const ArrayLayout& array = layout_.array_of(place);
  const DType dtype = array.metadata.dtype;
  const Leaf& leaf = layout_.node_of(place).as<Leaf>();
  const IndexRange chunk = chunk_range(array, place.chunk);
  const std::vector<Index> strides = c_strides(dtype, array.metadata.chunk_shape);
  std::memset(to, 0, array.chunk_bytes);
  for (const LeafPart& part : leaf.parts()) {
    const Overlap overlap = overlap_of(chunk, part.range, strides);
    if (overlap.empty) continue;
    std::vector<std::byte> dense(byte_count(leaf.dtype(), overlap.in_part.shape));
    if (const auto* source = std::get_if<std::shared_ptr<Source>>(&part.source)) {
      co_await await_source(*source, overlap.in_part, std::span(dense));
    }
    auto place_part = [&] {
      if (const auto* view = std::get_if<ArrayView>(&part.source)) {
        copy_region(*view, overlap.in_part.origin, overlap.in_part.shape, dense.data());
      }
      const std::vector<Index> from = c_strides(leaf.dtype(), overlap.in_part.shape);
      cast_region(dense.data(), leaf.dtype(), from, overlap.in_part.shape, to + overlap.offset,
                  dtype, strides);
    };
    co_await engine::async_run(engine_->cpu(), std::move(place_part), asio::use_awaitable);
  }
}

}  // namespace cairn::internal
