#include <cairn/codecs/blosc.h>
#include <cairn/codecs/crc32c.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/chunk_encoder.h>

#include <cassert>
#include <cstring>

namespace cairn::internal {
namespace {

std::uint32_t load_checksum(const std::byte* from) {
  std::uint32_t crc = 0;
  std::memcpy(&crc, from, kChecksumBytes);
  return crc;
}

/// Bytes of the chain's own checksum at the end of a chunk.
std::size_t checksum_bytes(const ArrayLayout& array) {
  return zarr::has_checksum(array.metadata) ? kChecksumBytes : 0;
}

std::size_t encode_raw(const ArrayLayout& array, const std::byte* elements,
                       std::span<std::byte> to) {
  // The checksum lies behind the elements whether or not it is stored.
  std::memcpy(to.data(), elements, array.stored_bytes);
  return array.stored_bytes;
}

std::size_t encode_planes(const ArrayLayout& array, std::span<const std::byte> elements,
                          std::span<std::byte> to) {
  const std::size_t frame =
      blosc::encode_planes(elements, size_of(array.metadata.dtype),
                           to.first(blosc::frame_bound(elements.size())), coder_of(array.encoding));
  if (checksum_bytes(array) == 0) return frame;
  append_checksum(to.data(), frame);
  return frame + kChecksumBytes;
}

/// Returns the stored bytes' number; `to` has room for array.stored_bytes.
std::size_t encode_one(const ArrayLayout& array, const std::byte* elements,
                       std::span<std::byte> to) {
  const std::span dense(elements, array.chunk_bytes);
  switch (array.encoding) {
    case Encoding::raw:
      return encode_raw(array, elements, to);
    case Encoding::chain:
      return zarr::encode_chunk(array.metadata, dense, to);
    case Encoding::planes:
    case Encoding::matches:
      return encode_planes(array, dense, to);
  }
  return 0;
}

}  // namespace

PieceList encode_extent(const ItemLayout& layout, const Extent& extent,
                        const std::vector<bool>& wanted, const std::byte* staging,
                        std::span<std::byte> to) {
  const bool inlines = uses_ocdbt(layout.layout);
  PieceList list;
  std::size_t end = 0;
  for (std::size_t i = 0; i < extent.count; ++i) {
    if (!wanted.empty() && !wanted[i]) continue;
    const ChunkPlace& place = layout.placed[extent.first + i];
    const ArrayLayout& array = layout.array_of(place);
    Piece piece;
    piece.place = extent.first + i;
    piece.offset = align_up(end, kPackAlignment);
    assert(piece.offset + array.stored_bytes <= to.size());
    std::memset(to.data() + end, 0, piece.offset - end);
    piece.length =
        encode_one(array, staging + place.offset, to.subspan(piece.offset, array.stored_bytes));
    // Where the chain has a checksum, what precedes it is not summed twice.
    piece.crc32c = checksum_bytes(array) > 0 ? 0 : crc32c(to.subspan(piece.offset, piece.length));
    if (inlines && piece.length <= kInlineBytes) {
      piece.value.assign(reinterpret_cast<const char*>(to.data() + piece.offset), piece.length);
      end = piece.offset;
    } else {
      end = piece.offset + piece.length;
    }
    list.pieces.push_back(std::move(piece));
  }
  list.bytes = align_up(end, kFileAlignment);
  std::memset(to.data() + end, 0, list.bytes - end);
  return list;
}

PieceList pieces_as_staged(const ItemLayout& layout, const Extent& extent,
                           const std::byte* staging) {
  PieceList list;
  list.bytes = extent.staging_bytes;
  list.pieces.reserve(extent.count);
  for (std::size_t i = 0; i < extent.count; ++i) {
    const ChunkPlace& place = layout.placed[extent.first + i];
    const ArrayLayout& array = layout.array_of(place);
    const bool framed = is_gated(extent.encoding);
    const std::size_t header = framed ? blosc::kHeaderBytes : 0;
    Piece piece;
    piece.place = extent.first + i;
    piece.offset = place.offset - header;
    piece.length = header + array.chunk_bytes + checksum_bytes(array);
    piece.crc32c = load_checksum(staging + place.offset + array.chunk_bytes);
    list.pieces.push_back(piece);
  }
  return list;
}

PieceList copy_as_staged(const ItemLayout& layout, const Extent& extent,
                         const std::vector<bool>& wanted, const std::byte* staging,
                         std::span<std::byte> to) {
  PieceList list;
  std::size_t end = 0;
  for (Piece& piece : pieces_as_staged(layout, extent, staging).pieces) {
    if (!wanted[piece.place - extent.first]) continue;
    const std::size_t offset = align_up(end, kPackAlignment);
    assert(offset + piece.length <= to.size());
    std::memset(to.data() + end, 0, offset - end);
    std::memcpy(to.data() + offset, staging + piece.offset, piece.length);
    piece.offset = offset;
    end = offset + piece.length;
    list.pieces.push_back(std::move(piece));
  }
  list.bytes = align_up(end, kFileAlignment);
  std::memset(to.data() + end, 0, list.bytes - end);
  return list;
}

bool is_left_as_it_was(const ArrayLayout& array, std::uint64_t stored_bytes) {
  return is_gated(array.encoding) &&
         stored_bytes == blosc::frame_bound(array.chunk_bytes) + checksum_bytes(array);
}

std::size_t encode_chunk(const ArrayLayout& array, const std::byte* elements, std::byte* to) {
  return encode_one(array, elements, std::span(to, array.stored_bytes));
}

}  // namespace cairn::internal
