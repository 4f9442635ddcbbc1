#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/chunk_reader.h>
#include <cairn/manager/internal/layout.h>

#include <algorithm>
#include <unordered_set>

namespace cairn::internal {
namespace {

/// Bounds what waits in the arena's queue, and the files that are open; the arena itself bounds the
/// bytes.
constexpr std::size_t kReadsInFlight = 64;
/// Inline values that one job of the pool decodes.
constexpr std::size_t kInlinedPerJob = 512;
constexpr std::uint64_t kScratchAlignment = 64;
/// Of a smaller file it costs more to ask whether it is cached than to read it.
constexpr std::uint64_t kAskedIfCached = 1u << 20;
/// What is read from the page cache at once.
constexpr std::size_t kReadBlockBytes = 256u << 10;

}  // namespace

Task<void> ChunkReader::run(ReadPlan plan) {
  for (const std::uint32_t leaf : plan.incomplete) {
    auto begin = [this, leaf] { sink_.begin_incomplete(scope_.leaves[leaf]); };
    co_await engine::async_run(engine()->cpu(), std::move(begin), asio::use_awaitable);
  }
  co_await engine::with_nursery(engine()->executor(), &ChunkReader::read_all, this, &plan);
}

Task<void> ChunkReader::read_all(engine::Nursery& nursery, ChunkReader* self, ReadPlan* plan) {
  for (std::size_t i = 0; i < plan->inlined.size(); i += kInlinedPerJob) {
    if (!co_await nursery.wait_below(kReadsInFlight)) co_return;
    nursery.spawn(
        self->read_inlined(&plan->inlined, i, std::min(plan->inlined.size(), i + kInlinedPerJob)));
  }
  DataFilePtr file;
  std::optional<std::uint32_t> open_file;
  for (std::size_t i = 0; i < plan->extents.size(); ++i) {
    ReadExtent& extent = plan->extents[i];
    if (!co_await nursery.wait_below(kReadsInFlight)) co_return;
    // A file of many extents is opened once, before they share it.
    if (extent.whole_file) {
      file.reset();
      open_file.reset();
    } else if (open_file != extent.file) {
      open_file = extent.file;
      file = co_await self->open_shared_file(plan, i);
    }
    if (!extent.whole_file && !file) continue;
    nursery.spawn(self->read_extent(std::move(extent), file));
  }
  for (ReadExtent& shard : plan->shards) {
    if (!co_await nursery.wait_below(kReadsInFlight)) co_return;
    nursery.spawn(self->read_shard(std::move(shard)));
  }
}

Task<void> ChunkReader::read_inlined(const Inlined* inlined, std::size_t begin, std::size_t end) {
  Tally tally;
  // Of the window, as for chunks in files: what is decoded at once is bounded, and memory that no
  // element reaches is never touched.
  std::uint64_t scratch_size = 0;
  for (std::size_t i = begin; i < end; ++i)
    scratch_size = std::max(scratch_size, scratch_of((*inlined)[i].piece));
  engine::Buffer buffer;
  if (scratch_size > 0) {
    auto [error, acquired] =
        co_await engine()->window().async_acquire(scratch_size, engine::ArenaUse::read, kAsTuple);
    if (error) raise_failure(error, "wait for memory", scope_.index.folder()->path);
    buffer = std::move(acquired);
  }
  auto check = [this, inlined, begin, end, scratch = buffer.span(), &tally] {
    const ItemDatabase& database = scope_.index.database();
    std::optional<std::uint32_t> file;
    std::string path;
    for (std::size_t i = begin; i < end; ++i) {
      const ChunkPiece& piece = (*inlined)[i].piece;
      const StoredLeaf& leaf = scope_.leaves[piece.leaf];
      const DatabaseEntry& entry = database.entries()[(*inlined)[i].entry];
      const auto stored = std::as_bytes(std::span(entry.value));
      // Nodes have many values each.
      if (file != entry.file) path = database.path_of(entry);
      file = entry.file;
      if (by_inner_chunks(leaf, piece.chunk)) {
        take_shard(piece, stored, scratch, path, entry.offset, tally);
        continue;
      }
      take(piece, stored, scratch, path, entry.offset, tally);
    }
  };
  co_await engine::async_run(engine()->cpu(), std::move(check), asio::use_awaitable);
  count(tally);
}

void ChunkReader::count(const Tally& tally) {
  good_chunks_ += tally.good_chunks;
  good_bytes_ += tally.bytes;
  for (const Error& damage : tally.damages) damage_(damage);
}

Task<ChunkReader::DataFilePtr> ChunkReader::open_data_file(std::uint32_t file) {
  const FolderPtr& item = scope_.index.folder();
  const std::string& name = scope_.index.database().files()[file];
  const engine::DirectIo direct = item->engine->direct_io();
  auto opened = std::make_shared<DataFile>();
  opened->file = co_await open_file(item, name, engine::OpenMode::read, direct);
  auto [error, status] = co_await opened->file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", opened->file->path);
  opened->size = status.size;
  if (!opened->file->file.direct() || direct == engine::DirectIo::required) co_return opened;
  if (from_ == ReadFrom::disk || opened->size < kAskedIfCached) co_return opened;
  auto [unknown, cached] = co_await opened->file->file.async_cached(0, opened->size, kAsTuple);
  if (unknown || cached < opened->size) co_return opened;
  try {
    opened->file = co_await open_file(item, name, engine::OpenMode::read, engine::DirectIo::off);
    opened->cached = true;
  } catch (const Error&) {
    // What has been opened is as good.
  }
  co_return opened;
}

Task<ChunkReader::DataFilePtr> ChunkReader::open_shared_file(const ReadPlan* plan,
                                                             std::size_t first) {
  const std::uint32_t number = plan->extents[first].file;
  std::exception_ptr failure;
  try {
    co_return co_await open_data_file(number);
  } catch (...) {
    failure = std::current_exception();
  }
  // Said once, of all that is in it.
  const Error cause = known_error(failure);
  std::uint64_t chunks = 0;
  std::unordered_set<std::uint32_t> leaves;
  for (std::size_t i = first; i < plan->extents.size() && plan->extents[i].file == number; ++i) {
    chunks += plan->extents[i].pieces.size();
    for (const ChunkPiece& piece : plan->extents[i].pieces) leaves.insert(piece.leaf);
  }
  const std::string name = to_string(scope_.leaves[plan->extents[first].pieces.front().leaf].path);
  ErrorContext context = cause.context();
  context.item = scope_.index.name();
  if (leaves.size() == 1) context.key_path = name;
  damage_(Error(cause.code(),
                cause.reason() + " (chunks in it: " + std::to_string(chunks) +
                    ", of arrays: " + std::to_string(leaves.size()) + ", the first: " + name + ")",
                context));
  co_return nullptr;
}

std::vector<Error> ChunkReader::settle(ReadExtent& extent, const DataFile& file) const {
  std::vector<Error> damages;
  if (extent.whole_file) {
    ChunkPiece& piece = extent.pieces[0];
    extent.end = piece.length = file.size;
    const StoredLeaf& leaf = scope_.leaves[piece.leaf];
    const std::string fault = length_fault(*leaf.array, file.size, leaf.array_bytes());
    if (fault.empty()) return damages;
    damages.push_back(chunk_error(scope_, piece, fault, file.file->path, 0));
    extent.pieces.clear();
    return damages;
  }
  if (extent.end <= file.size) return damages;
  // Neighbours that lie within the file are as good as ever.
  std::erase_if(extent.pieces, [&](const ChunkPiece& piece) {
    const std::uint64_t end = piece.offset + piece.length;
    if (end <= file.size) return false;
    damages.push_back(chunk_error(scope_, piece,
                                  "it should end at byte " + std::to_string(end) +
                                      ", but the file has " + std::to_string(file.size) + " bytes",
                                  file.file->path, piece.offset));
    return true;
  });
  extent.end = file.size;
  return damages;
}

std::uint64_t ChunkReader::scratch_of(const ReadExtent& extent) const {
  std::uint64_t bytes = 0;
  for (const ChunkPiece& piece : extent.pieces) bytes = std::max(bytes, scratch_of(piece));
  return bytes;
}

std::uint64_t ChunkReader::scratch_of(const ChunkPiece& piece) const {
  const StoredLeaf& leaf = scope_.leaves[piece.leaf];
  if (!piece.inner && by_inner_chunks(leaf, piece.chunk)) {
    // Which inner chunks a shard has is not known yet: what one may need that is not at fault.
    const StoredArray& inner = *leaf.array->inner;
    return std::min<std::uint64_t>(inner.chunk_bytes, decoded_bytes_max(inner, piece.length));
  }
  return sink_.scratch_bytes(PieceView(leaf, piece));
}

/// What a format without checksums cannot carry is in Cairn's record.
void ChunkReader::check_record(const ChunkPiece& piece, std::span<const std::byte> stored) const {
  if (piece.inner) return;
  const auto expected = scope_.index.recorded_checksum(scope_.leaves[piece.leaf], piece.chunk);
  if (!expected) return;
  const std::uint32_t found = crc32c(stored);
  if (found == *expected) return;
  throw FormatError("chunk", "crc32c in " + std::string(kRecordFile), std::to_string(found),
                    std::to_string(*expected));
}

void ChunkReader::take(const ChunkPiece& piece, std::span<const std::byte> stored,
                       std::span<std::byte> scratch, const std::string& path, std::uint64_t offset,
                       Tally& tally) {
  tally.bytes += stored.size();
  try {
    check_record(piece, stored);
    sink_.take(PieceView(scope_.leaves[piece.leaf], piece), stored, scratch);
    ++tally.good_chunks;
  } catch (const FormatError& damage) {
    tally.damages.push_back(chunk_error(scope_, piece, damage.what(), path, offset));
  }
}

Task<void> ChunkReader::read_extent(ReadExtent extent, DataFilePtr data_file) {
  Tally tally;
  std::exception_ptr failure;
  try {
    if (!data_file) data_file = co_await open_data_file(extent.file);
    tally.damages = settle(extent, *data_file);
    bool done = extent.pieces.empty();
    if (!done && data_file->cached) done = co_await read_in_place(&extent, data_file, &tally);
    if (!done) co_await read_pieces(&extent, data_file->file, &tally);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && extent.pieces.size() == 1)
    tally.damages.push_back(chunk_error(scope_, extent.pieces[0], known_error(failure)));
  count(tally);
  if (!failure || extent.pieces.size() == 1) co_return;
  static_cast<void>(known_error(failure));
  // A sector that cannot be read costs the chunks on it, and not those that are read with them.
  for (const ChunkPiece& piece : extent.pieces) {
    ReadExtent alone;
    alone.file = extent.file;
    alone.begin = piece.offset;
    alone.end = piece.offset + piece.length;
    alone.pieces.push_back(piece);
    co_await read_extent(std::move(alone), data_file);
  }
}

bool ChunkReader::fits_in_place(const ChunkPiece& piece) const {
  const PieceView view(scope_.leaves[piece.leaf], piece);
  const std::size_t elements = sink_.run_of(view).size();
  const std::size_t sum = zarr::has_checksum(view.array.metadata) ? kChecksumBytes : 0;
  return elements > 0 && elements + sum == piece.length;
}

bool ChunkReader::read_in_place(const ChunkPiece& piece, const engine::File& file) const {
  const PieceView view(scope_.leaves[piece.leaf], piece);
  const std::span<std::byte> run = sink_.run_of(view);
  const bool checked = zarr::has_checksum(view.array.metadata);
  std::uint32_t crc = 0;
  // Each block is summed while it is in the core's cache.
  for (std::size_t at = 0; at < run.size(); at += kReadBlockBytes) {
    const auto block = run.subspan(at, std::min(kReadBlockBytes, run.size() - at));
    if (file.read_cached(piece.offset + at, block) != block.size()) return false;
    crc = crc32c(block, crc);
  }
  if (checked) {
    std::uint32_t stored = 0;
    const auto bytes = std::as_writable_bytes(std::span(&stored, 1));
    return file.read_cached(piece.offset + run.size(), bytes) == bytes.size() && stored == crc;
  }
  const auto recorded =
      piece.inner ? std::nullopt : scope_.index.recorded_checksum(view.leaf, piece.chunk);
  return !recorded || *recorded == crc;
}

Task<bool> ChunkReader::read_in_place(const ReadExtent* extent, DataFilePtr file, Tally* tally) {
  const auto fits = [this](const ChunkPiece& piece) { return fits_in_place(piece); };
  if (!std::ranges::all_of(extent->pieces, fits)) co_return false;
  auto read = [this, extent, file, tally] {
    for (const ChunkPiece& piece : extent->pieces) {
      // Whatever was wrong is found, and said, by the other way.
      if (!read_in_place(piece, file->file->file)) return false;
    }
    tally->good_chunks += extent->pieces.size();
    for (const ChunkPiece& piece : extent->pieces) tally->bytes += piece.length;
    return true;
  };
  co_return co_await engine::async_run(engine()->cpu(), std::move(read), asio::use_awaitable);
}

Task<void> ChunkReader::read_pieces(const ReadExtent* extent, FilePtr file, Tally* tally) {
  const std::uint64_t alignment = std::max<std::uint64_t>(file->file.alignment(), 1);
  const std::uint64_t begin = extent->begin / alignment * alignment;
  const std::uint64_t size = align_up(extent->end, alignment) - begin;
  // Stored bytes and what they are decoded in come in one step: nothing is held while waiting.
  const std::uint64_t scratch_at = align_up(size, kScratchAlignment);
  const std::uint64_t scratch_size = scratch_of(*extent);
  engine::BufferArena& window = engine()->window();
  auto [error, buffer] = co_await window.async_acquire(
      std::max<std::uint64_t>(scratch_at + scratch_size, 1), engine::ArenaUse::read, kAsTuple);
  if (error) raise_failure(error, "wait for memory", file->path);
  const std::span<std::byte> memory = buffer.span();
  const std::size_t count = co_await read_some_at(file, begin, memory.first(size));
  auto check = [this, extent, &file, begin, count, memory, scratch_at, scratch_size, tally] {
    for (const ChunkPiece& piece : extent->pieces) {
      if (piece.offset - begin + piece.length > count) {
        tally->damages.push_back(
            chunk_error(scope_, piece, "the file ended before it did", file->path, piece.offset));
        continue;
      }
      take(piece, memory.subspan(piece.offset - begin, piece.length),
           memory.subspan(scratch_at, scratch_size), file->path, piece.offset, *tally);
    }
  };
  co_await engine::async_run(engine()->cpu(), std::move(check), asio::use_awaitable);
}

}  // namespace cairn::internal
