#include <cairn/codecs/cairn_record.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/ocdbt_store.h>
#include <cairn/manager/internal/pool_loop.h>

#include <functional>
#include <limits>

namespace cairn::internal {

OcdbtStore::OcdbtStore(std::shared_ptr<SaveState> state, ItemContent& content,
                       std::optional<std::uint64_t> linkable_file_bytes, bool joins)
    : state_(std::move(state)),
      content_(content),
      linkable_file_bytes_(linkable_file_bytes),
      joins_(joins) {
  const ItemLayout& layout = content_.layout;
  for (const Extent& extent : layout.extents) {
    if (!extent.fixed) continue;
    for (std::size_t i = extent.first; i < extent.first + extent.count; ++i) {
      content_.placed[i].offset = extent.offset + layout.placed[i].offset;
      content_.placed[i].length = layout.array_of(layout.placed[i]).stored_bytes;
    }
  }
}

Task<void> OcdbtStore::open(FolderPtr item) {
  item_ = item;
  FolderPtr folder;
  if (joins_) {
    folder = co_await open_subfolder(item, "d");
  } else {
    folder = co_await make_subfolder(item, "d");
  }
  const ItemLayout& layout = content_.layout;
  constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max() / 2;
  const std::uint64_t bytes_max = linkable_file_bytes_.value_or(kNoLimit);
  files_ = std::make_unique<DataFiles>(state_->engine, folder, layout.open_bytes, bytes_max);
  if (!linkable_file_bytes_) files_->expect(layout.open_bytes);
  if (layout.fixed_bytes > 0) co_await files_->open_fixed(layout.fixed_bytes);
}

Task<void> OcdbtStore::write_fixed(std::uint64_t offset, std::span<const std::byte> bytes) {
  co_await files_->write_fixed(offset, bytes);
}

void OcdbtStore::note(PieceList list, const FilePlace& place) {
  for (Piece& piece : list.pieces) {
    StoredChunk& stored = content_.placed[piece.place];
    stored.file = place.file;
    stored.offset = place.offset + piece.offset;
    stored.length = piece.length;
    stored.crc32c = piece.crc32c;
    stored.inlined = !piece.value.empty();
    stored.value = std::move(piece.value);
  }
}

void OcdbtStore::note_checksum(std::size_t place, std::uint32_t crc32c) {
  content_.placed[place].crc32c = crc32c;
}

Task<void> OcdbtStore::write(PieceList list, std::span<const std::byte> bytes, FileClass kind) {
  FilePlace place;
  if (list.bytes > 0) place = co_await files_->append(kind, bytes.first(list.bytes));
  note(std::move(list), place);
}

Task<void> OcdbtStore::finish_files() {
  files_finished_ = true;
  co_await files_->finish();
  state_->stored += files_->written_bytes();
}

Task<void> OcdbtStore::build() {
  nodes_name_ = data_file_name();
  const std::vector<DataFileState> files = files_->files();
  std::unique_ptr<DatabaseBuilder> builder;
  auto begin = [&] {
    builder = std::make_unique<DatabaseBuilder>(content_, files, "d/" + nodes_name_);
  };
  co_await engine::async_run(state_->engine->cpu(), std::move(begin), asio::use_awaitable);
  std::function<void(std::size_t)> encode_leaf = [&builder](std::size_t leaf) {
    std::string scratch;
    builder->encode_leaf(leaf, scratch);
  };
  co_await loop_on_pool(state_->engine, builder->leaves(), std::move(encode_leaf));
  const std::int64_t now_ns = state_->engine->clock().now_ns();
  auto finish = [&] {
    database_ = builder->finish(now_ns);
    builder.reset();
    content_.inlined_bytes.reset();
    manifest_hash_ = content_hash(database_->manifest);
  };
  co_await engine::async_run(state_->engine->cpu(), std::move(finish), asio::use_awaitable);
}

Task<void> OcdbtStore::finish_data() {
  engine::Nursery both(state_->engine->executor());
  if (!files_finished_) both.spawn(finish_files());
  if (!database_) both.spawn(build());
  co_await both.join();
  state_->stored += database_->nodes.size() + database_->manifest.size();
  co_await write_file(files_->folder(), nodes_name_, std::move(database_->nodes));
}

Task<void> OcdbtStore::finish_metadata() {
  co_await write_file(item_, "manifest.ocdbt", std::move(database_->manifest));
}

Task<void> OcdbtStore::sync_folders() {
  co_await sync_folder(files_->folder());
}

std::string OcdbtStore::manifest_hash() const {
  return manifest_hash_;
}

}  // namespace cairn::internal
