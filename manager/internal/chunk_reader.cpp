#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_reader.h>

#include <algorithm>

namespace cairn::internal {
namespace {

/// Bounds what waits in the arena's queue, and the files that are open; the arena itself bounds the
/// bytes.
constexpr std::size_t kReadsInFlight = 64;
/// Inline values that one job of the pool decodes.
constexpr std::size_t kInlinedPerJob = 512;
constexpr std::uint64_t kScratchAlignment = 64;

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace

Task<void> ChunkReader::run(ReadPlan plan) {
  for (const std::uint32_t leaf : plan.incomplete) {
    auto begin = [this, leaf] { sink_.begin_incomplete(index_.leaves()[leaf]); };
    co_await engine::async_run(index_.folder()->engine->cpu(), std::move(begin),
                               asio::use_awaitable);
  }
  co_await engine::with_nursery(index_.folder()->engine->executor(), &ChunkReader::read_all, this,
                                &plan);
}

Task<void> ChunkReader::read_all(engine::Nursery& nursery, ChunkReader* self, ReadPlan* plan) {
  for (std::size_t i = 0; i < plan->inlined.size(); i += kInlinedPerJob) {
    if (!co_await nursery.wait_below(kReadsInFlight)) co_return;
    nursery.spawn(
        self->read_inlined(&plan->inlined, i, std::min(plan->inlined.size(), i + kInlinedPerJob)));
  }
  DataFilePtr file;
  std::optional<std::uint32_t> open_file;
  for (ReadExtent& extent : plan->extents) {
    if (!co_await nursery.wait_below(kReadsInFlight)) co_return;
    // A file of many extents is opened once, before they share it.
    if (extent.whole_file) {
      file.reset();
      open_file.reset();
    } else if (open_file != extent.file) {
      file = co_await self->open_data_file(extent.file);
      open_file = extent.file;
    }
    nursery.spawn(self->read_extent(std::move(extent), file));
  }
  for (ReadExtent& shard : plan->shards) {
    if (!co_await nursery.wait_below(kReadsInFlight)) co_return;
    nursery.spawn(self->read_shard(std::move(shard), nullptr));
  }
}

Task<void> ChunkReader::read_inlined(const Inlined* inlined, std::size_t begin, std::size_t end) {
  std::vector<Error> damages;
  auto check = [this, inlined, begin, end, &damages] {
    std::vector<std::byte> scratch;
    for (std::size_t i = begin; i < end; ++i) {
      const ReadPlan::Inlined& one = (*inlined)[i];
      const DatabaseEntry& entry = index_.database().entries()[one.entry];
      scratch.resize(std::max(scratch.size(), sink_.scratch_bytes(PieceView(
                                                  index_.leaves()[one.piece.leaf], one.piece))));
      const auto error = take(one.piece, std::as_bytes(std::span(entry.value)), scratch,
                              index_.database().path_of(entry), std::nullopt);
      if (error) damages.push_back(*error);
    }
  };
  co_await engine::async_run(index_.folder()->engine->cpu(), std::move(check), asio::use_awaitable);
  for (const Error& damage : damages) damage_(damage);
  good_chunks_ += end - begin - damages.size();
  for (std::size_t i = begin; i < end; ++i) good_bytes_ += (*inlined)[i].piece.length;
}

Task<ChunkReader::DataFilePtr> ChunkReader::open_data_file(std::uint32_t file) {
  const FolderPtr& item = index_.folder();
  auto opened = std::make_shared<DataFile>();
  opened->file =
      co_await open_item_file(item, index_.database().files()[file], item->engine->direct_io());
  auto [error, status] = co_await opened->file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", opened->file->path);
  opened->size = status.size;
  co_return opened;
}

bool ChunkReader::settle(ReadExtent& extent, const DataFile& file) {
  if (extent.whole_file) {
    extent.end = file.size;
    extent.pieces[0].length = file.size;
    const ChunkPiece& piece = extent.pieces[0];
    const std::string fault = length_fault(*index_.leaves()[piece.leaf].array, file.size);
    if (fault.empty()) return true;
    damage_(chunk_error(index_, piece, fault, file.file->path, 0));
    return false;
  }
  if (extent.end <= file.size) return true;
  for (const ChunkPiece& piece : extent.pieces) {
    damage_(chunk_error(index_, piece,
                        "it should end at byte " + std::to_string(piece.offset + piece.length) +
                            ", but the file has " + std::to_string(file.size) + " bytes",
                        file.file->path, piece.offset));
  }
  return false;
}

std::uint64_t ChunkReader::scratch_of(const ReadExtent& extent) const {
  std::uint64_t bytes = 0;
  for (const ChunkPiece& piece : extent.pieces) {
    const PieceView view(index_.leaves()[piece.leaf], piece);
    bytes = std::max<std::uint64_t>(bytes, sink_.scratch_bytes(view));
  }
  return bytes;
}

/// What a format without checksums cannot carry is in Cairn's record.
void ChunkReader::check_record(const ChunkPiece& piece, std::span<const std::byte> stored) const {
  if (piece.inner) return;
  const auto expected = index_.recorded_checksum(index_.leaves()[piece.leaf], piece.chunk);
  if (!expected) return;
  const std::uint32_t found = crc32c(stored);
  if (found == *expected) return;
  throw FormatError("chunk", "crc32c in " + std::string(kRecordFile), std::to_string(found),
                    std::to_string(*expected));
}

std::optional<Error> ChunkReader::take(const ChunkPiece& piece, std::span<const std::byte> stored,
                                       std::span<std::byte> scratch, const std::string& path,
                                       std::optional<std::uint64_t> offset) {
  try {
    check_record(piece, stored);
    sink_.take(PieceView(index_.leaves()[piece.leaf], piece), stored, scratch);
  } catch (const FormatError& damage) {
    return chunk_error(index_, piece, damage.what(), path, offset);
  }
  return std::nullopt;
}

Task<void> ChunkReader::read_extent(ReadExtent extent, DataFilePtr data_file) {
  if (!data_file) data_file = co_await open_data_file(extent.file);
  if (!settle(extent, *data_file)) co_return;
  const FilePtr file = data_file->file;
  const std::uint64_t alignment = std::max<std::uint64_t>(file->file.alignment(), 1);
  const std::uint64_t begin = extent.begin / alignment * alignment;
  const std::uint64_t size = align_up(extent.end, alignment) - begin;
  // Stored bytes and what they are decoded in come in one step: nothing is held while waiting.
  const std::uint64_t scratch_at = align_up(size, kScratchAlignment);
  const std::uint64_t scratch_size = scratch_of(extent);
  engine::BufferArena& window = index_.folder()->engine->window();
  auto [error, buffer] = co_await window.async_acquire(
      std::max<std::uint64_t>(scratch_at + scratch_size, 1), engine::ArenaUse::read, kAsTuple);
  if (error) raise_failure(error, "wait for memory", file->path);
  const std::span<std::byte> memory = buffer.span();
  const std::size_t count = co_await read_some_at(file, begin, memory.first(size));
  std::vector<Error> damages;
  auto check = [this, &extent, &file, begin, count, memory, scratch_at, scratch_size, &damages] {
    for (const ChunkPiece& piece : extent.pieces) {
      std::optional<Error> damage;
      if (piece.offset - begin + piece.length > count) {
        damage =
            chunk_error(index_, piece, "the file ended before it did", file->path, piece.offset);
      } else {
        damage = take(piece, memory.subspan(piece.offset - begin, piece.length),
                      memory.subspan(scratch_at, scratch_size), file->path, piece.offset);
      }
      if (damage) damages.push_back(*damage);
    }
  };
  co_await engine::async_run(index_.folder()->engine->cpu(), std::move(check), asio::use_awaitable);
  for (const Error& damage : damages) damage_(damage);
  good_chunks_ += extent.pieces.size() - damages.size();
  for (const ChunkPiece& piece : extent.pieces) good_bytes_ += piece.length;
}

Task<void> ChunkReader::read_shard(ReadExtent shard, DataFilePtr data_file) {
  if (!data_file) data_file = co_await open_data_file(shard.file);
  if (!settle(shard, *data_file)) co_return;
  const FilePtr file = data_file->file;
  const ChunkPiece& whole = shard.pieces[0];
  const StoredLeaf& leaf = index_.leaves()[whole.leaf];
  const zarr::ArrayMetadata& metadata = leaf.array->metadata;
  std::optional<Error> damage;
  zarr::ByteRange place;
  try {
    place = zarr::shard_index_range(metadata, whole.length);
  } catch (const FormatError& error) {
    damage = chunk_error(index_, whole, error.what(), file->path, whole.offset);
  }
  if (damage) {
    damage_(*damage);
    co_return;
  }
  const std::uint64_t at = whole.offset + place.offset;
  const std::uint64_t alignment = std::max<std::uint64_t>(file->file.alignment(), 1);
  const std::uint64_t begin = at / alignment * alignment;
  const std::uint64_t size = align_up(at + place.length, alignment) - begin;
  std::vector<ReadExtent> extents;
  std::vector<ChunkPiece> absent;
  {
    auto [error, buffer] = co_await index_.folder()->engine->window().async_acquire(
        std::max<std::uint64_t>(size, 1), engine::ArenaUse::read, kAsTuple);
    if (error) raise_failure(error, "wait for memory", file->path);
    const std::size_t count = co_await read_some_at(file, begin, buffer.span().first(size));
    const std::span<const std::byte> bytes = buffer.span().first(count);
    auto decode = [&, bytes] {
      try {
        if (bytes.size() < at - begin + place.length)
          throw FormatError("shard", "index", "an early end of the file", "the whole index");
        const zarr::ShardIndex cells = zarr::decode_shard_index(
            metadata, bytes.subspan(at - begin, place.length), whole.length);
        extents = inner_pieces(shard, cells, absent);
        for (const ChunkPiece& piece : absent) sink_.take_absent(PieceView(leaf, piece));
      } catch (const FormatError& e) {
        damage = chunk_error(index_, whole, e.what(), file->path, at);
      }
    };
    co_await engine::async_run(index_.folder()->engine->cpu(), std::move(decode),
                               asio::use_awaitable);
  }
  if (damage) damage_(*damage);
  for (ReadExtent& extent : extents) co_await read_extent(std::move(extent), data_file);
}

std::vector<ReadExtent> ChunkReader::inner_pieces(const ReadExtent& shard,
                                                  const zarr::ShardIndex& cells,
                                                  std::vector<ChunkPiece>& absent) const {
  const ChunkPiece& whole = shard.pieces[0];
  const StoredLeaf& leaf = index_.leaves()[whole.leaf];
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
      absent.push_back(piece);
      continue;
    }
    const std::string fault = length_fault(inner, cell->length);
    if (!fault.empty()) throw FormatError("shard", "index", fault, "a sound inner chunk");
    piece.offset = whole.offset + cell->offset;
    piece.length = cell->length;
    pieces.push_back(piece);
  }
  return join_pieces(shard.file, std::move(pieces));
}

}  // namespace cairn::internal
