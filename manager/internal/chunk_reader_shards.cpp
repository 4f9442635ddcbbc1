// ChunkReader for shards that are read by inner chunks: their index first, then what is wanted.

#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_reader.h>

#include <algorithm>

namespace cairn::internal {
namespace {

/// Of one shard: enough for every core and a disk, while other shards are read too.
constexpr std::size_t kInnerReadsInFlight = 16;

}  // namespace

Task<void> ChunkReader::read_shard(ReadExtent shard) {
  DataFilePtr data_file;
  std::vector<ReadExtent> extents;
  Tally tally;
  std::exception_ptr failure;
  try {
    data_file = co_await open_data_file(shard.file);
    tally.damages = settle(shard, *data_file);
    if (!shard.pieces.empty()) co_await read_index(&shard, data_file->file, &extents, &tally);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) tally.damages.push_back(chunk_error(scope_, shard.pieces[0], known_error(failure)));
  count(tally);
  if (extents.empty()) co_return;
  co_await engine::with_nursery(engine()->executor(), &ChunkReader::read_inner, this, &extents,
                                data_file);
}

Task<void> ChunkReader::read_inner(engine::Nursery& nursery, ChunkReader* self,
                                   std::vector<ReadExtent>* extents, DataFilePtr file) {
  for (ReadExtent& extent : *extents) {
    if (!co_await nursery.wait_below(kInnerReadsInFlight)) co_return;
    nursery.spawn(self->read_extent(std::move(extent), file));
  }
}

Task<void> ChunkReader::read_index(const ReadExtent* shard, FilePtr file,
                                   std::vector<ReadExtent>* extents, Tally* tally) {
  const ChunkPiece& whole = shard->pieces[0];
  const zarr::ArrayMetadata& metadata = scope_.leaves[whole.leaf].array->metadata;
  zarr::ByteRange place;
  try {
    place = zarr::shard_index_range(metadata, whole.length);
  } catch (const FormatError& error) {
    tally->damages.push_back(chunk_error(scope_, whole, error.what(), file->path, whole.offset));
    co_return;
  }
  const std::uint64_t at = whole.offset + place.offset;
  const std::uint64_t alignment = std::max<std::uint64_t>(file->file.alignment(), 1);
  const std::uint64_t begin = at / alignment * alignment;
  const std::uint64_t end = (at + place.length + alignment - 1) / alignment * alignment;
  auto [error, buffer] = co_await engine()->window().async_acquire(
      std::max<std::uint64_t>(end - begin, 1), engine::ArenaUse::read, kAsTuple);
  if (error) raise_failure(error, "wait for memory", file->path);
  const std::size_t count = co_await read_some_at(file, begin, buffer.span().first(end - begin));
  const std::span<const std::byte> bytes = buffer.span().first(count);
  auto decode = [&, bytes] {
    try {
      if (bytes.size() < at - begin + place.length)
        throw FormatError("shard", "index", "an early end of the file", "the whole index");
      const zarr::ShardIndex cells =
          zarr::decode_shard_index(metadata, bytes.subspan(at - begin, place.length), whole.length);
      *extents =
          join_pieces(shard->file, inner_pieces(whole, cells, file->path, std::nullopt, *tally));
    } catch (const FormatError& damage) {
      tally->damages.push_back(chunk_error(scope_, whole, damage.what(), file->path, at));
    }
  };
  co_await engine::async_run(engine()->cpu(), std::move(decode), asio::use_awaitable);
}

void ChunkReader::take_shard(const ChunkPiece& whole, std::span<const std::byte> stored,
                             std::span<std::byte> scratch, const std::string& path,
                             std::uint64_t node, Tally& tally) {
  const StoredLeaf& leaf = scope_.leaves[whole.leaf];
  const zarr::ArrayMetadata& metadata = leaf.array->metadata;
  std::vector<ChunkPiece> pieces;
  try {
    check_record(whole, stored);
    const zarr::ByteRange place = zarr::shard_index_range(metadata, stored.size());
    const zarr::ShardIndex cells = zarr::decode_shard_index(
        metadata, stored.subspan(place.offset, place.length), stored.size());
    pieces = inner_pieces(whole, cells, path, node, tally);
  } catch (const FormatError& damage) {
    tally.damages.push_back(chunk_error(scope_, whole, damage.what(), path, node));
  }
  for (const ChunkPiece& piece : pieces) {
    take(piece, stored.subspan(piece.offset, piece.length), scratch, path, node, tally);
  }
}

std::vector<ChunkPiece> ChunkReader::inner_pieces(const ChunkPiece& whole,
                                                  const zarr::ShardIndex& cells,
                                                  const std::string& path,
                                                  std::optional<std::uint64_t> node, Tally& tally) {
  const StoredLeaf& leaf = scope_.leaves[whole.leaf];
  const StoredArray& inner = *leaf.array->inner;
  IndexRange wanted = PieceView(leaf, whole).wanted;
  const IndexRange box = leaf.array->chunk_box(whole.chunk);
  for (std::size_t d = 0; d < wanted.origin.size(); ++d) wanted.origin[d] -= box.origin[d];
  const IndexRange touched = touched_chunks(wanted, inner.metadata.chunk_shape);
  const auto count = static_cast<std::uint64_t>(element_count(touched.shape));
  std::vector<ChunkPiece> pieces;
  for (std::uint64_t i = 0; i < count; ++i) {
    Shape at = index_of(touched.shape, i);
    for (std::size_t d = 0; d < at.size(); ++d) at[d] += touched.origin[d];
    ChunkPiece piece = whole;
    piece.inner = linear_of(inner.grid, at);
    const std::optional<zarr::ByteRange>& cell = cells.cells[*piece.inner];
    if (!cell) {
      sink_.take_absent(PieceView(leaf, piece));
      continue;
    }
    piece.offset = whole.offset + cell->offset;
    piece.length = cell->length;
    const std::string fault = length_fault(inner, cell->length, leaf.array_bytes());
    if (fault.empty()) {
      pieces.push_back(piece);
      continue;
    }
    tally.damages.push_back(chunk_error(scope_, piece, fault, path, node.value_or(piece.offset)));
  }
  return pieces;
}

}  // namespace cairn::internal
