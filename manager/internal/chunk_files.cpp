#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/chunk_files.h>

#include <algorithm>
#include <cassert>
#include <set>

namespace cairn::internal {
namespace {

/// Small files, or directories, under way at once: their syncs share transactions of the file
/// system's journal.
constexpr std::size_t kFilesInFlight = 32;

/// The group's own metadata, by which zarr-python opens the item as a whole.
constexpr std::string_view kGroup3 = R"({"attributes":{},"node_type":"group","zarr_format":3})";
constexpr std::string_view kGroup2 = R"({"zarr_format":2})";

/// All directories on the way to `key`.
void add_parents(std::set<std::string>& folders, std::string_view key) {
  for (auto slash = key.rfind('/'); slash != key.npos; slash = key.rfind('/')) {
    key = key.substr(0, slash);
    if (!folders.insert(std::string(key)).second) return;
  }
}

std::vector<std::vector<std::string>> levels_of(const ItemLayout& layout) {
  std::set<std::string> folders;
  for (const PlannedLeaf& leaf : layout.leaves) {
    add_parents(folders, metadata_key(leaf.name, layout.layout));
  }
  for (const ChunkPlace& place : layout.placed) {
    add_parents(folders, chunk_entry_key(layout.leaves[place.leaf].name, layout.array_of(place),
                                         place.chunk));
  }
  std::vector<std::vector<std::string>> levels;
  for (const std::string& name : folders) {
    const auto depth = static_cast<std::size_t>(std::ranges::count(name, '/'));
    if (levels.size() <= depth) levels.resize(depth + 1);
    levels[depth].push_back(name);
  }
  return levels;
}

}  // namespace

ChunkFiles::ChunkFiles(std::shared_ptr<SaveState> state, ItemContent& content)
    : state_(std::move(state)),
      content_(content),
      slots_(kFilesInFlight),
      levels_(levels_of(content.layout)) {}

Task<void> ChunkFiles::open(FolderPtr item) {
  item_ = item;
  assert(content_.layout.inlined.empty());
  for (const std::vector<std::string>& level : levels_) {
    engine::Nursery folders(state_->engine->executor());
    for (const std::string& name : level) {
      folders.spawn(make_directory(item_, name));
      if (!co_await folders.wait_below(kFilesInFlight - 1)) break;
    }
    co_await folders.join();
  }
}

Task<void> ChunkFiles::write_large(std::string name, std::span<const std::byte> bytes,
                                   std::size_t length) {
  const FilePtr file =
      co_await open_file(item_, name, engine::OpenMode::create, state_->engine->direct_io());
  auto [allocate_error] = co_await file->file.async_allocate(bytes.size(), kAsTuple);
  if (allocate_error) {
    raise_failure(allocate_error, "reserve " + std::to_string(bytes.size()) + " bytes", file->path);
  }
  co_await write_at(file, 0, bytes);
  if (length != bytes.size()) {
    auto [error] = co_await file->file.async_truncate(length, kAsTuple);
    if (error) raise_failure(error, "cut to " + std::to_string(length) + " bytes", file->path);
  }
  co_await sync_and_close(file);
}

Task<void> ChunkFiles::write_piece(Piece piece, std::span<const std::byte> bytes) {
  auto [error, permit] = co_await slots_.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait for a write", item_->path);
  const ItemLayout& layout = content_.layout;
  const ChunkPlace& place = layout.placed[piece.place];
  const std::string name =
      chunk_entry_key(layout.leaves[place.leaf].name, layout.array_of(place), place.chunk);
  const std::size_t padded = align_up(piece.length, kFileAlignment);
  if (piece.length >= kPackBytes && piece.offset % kFileAlignment == 0) {
    // A file of a whole number of blocks first: a direct write knows nothing less.
    co_await write_large(name, bytes.subspan(piece.offset, padded), piece.length);
  } else {
    const std::span<const std::byte> stored = bytes.subspan(piece.offset, piece.length);
    std::string text(reinterpret_cast<const char*>(stored.data()), stored.size());
    co_await write_file(item_, name, std::move(text));
  }
  state_->stored += piece.length;
  StoredChunk& stored = content_.placed[piece.place];
  stored.length = piece.length;
  stored.crc32c = piece.crc32c;
}

Task<void> ChunkFiles::write(PieceList list, std::span<const std::byte> bytes, FileClass) {
  if (list.pieces.size() == 1) {
    co_await write_piece(std::move(list.pieces.front()), bytes);
    co_return;
  }
  engine::Nursery files(state_->engine->executor());
  for (Piece& piece : list.pieces) {
    files.spawn(write_piece(std::move(piece), bytes));
    if (!co_await files.wait_below(kFilesInFlight)) break;
  }
  co_await files.join();
}

Task<void> ChunkFiles::write_array_metadata(std::size_t leaf) {
  auto [error, permit] = co_await slots_.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait for a write", item_->path);
  const PlannedLeaf& planned = content_.layout.leaves[leaf];
  std::string text = content_.layout.arrays[planned.layout].text;
  state_->stored += text.size();
  co_await write_file(item_, metadata_key(planned.name, content_.layout.layout), std::move(text));
}

Task<void> ChunkFiles::finish_data() {
  engine::Nursery files(state_->engine->executor());
  for (std::size_t leaf = 0; leaf < content_.layout.leaves.size(); ++leaf) {
    files.spawn(write_array_metadata(leaf));
    if (!co_await files.wait_below(kFilesInFlight)) break;
  }
  co_await files.join();
}

Task<void> ChunkFiles::finish_metadata() {
  // A tree that is one array has its metadata there instead.
  for (const PlannedLeaf& leaf : content_.layout.leaves) {
    if (leaf.name.empty()) co_return;
  }
  const bool zarr3 = uses_zarr3(content_.layout.layout);
  std::string text(zarr3 ? kGroup3 : kGroup2);
  state_->stored += text.size();
  const std::string name = zarr3 ? "zarr.json" : ".zgroup";
  co_await write_file(item_, name, std::move(text));
}

Task<void> ChunkFiles::sync_below(std::string name) {
  const FolderPtr folder = co_await open_subfolder(item_, name);
  co_await sync_folder(folder);
}

Task<void> ChunkFiles::sync_folders() {
  // Children first; those of a level side by side, as files are.
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    engine::Nursery folders(state_->engine->executor());
    for (const std::string& name : *level) {
      folders.spawn(sync_below(name));
      if (!co_await folders.wait_below(kFilesInFlight - 1)) break;
    }
    co_await folders.join();
  }
}

}  // namespace cairn::internal
