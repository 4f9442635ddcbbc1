#include <cairn/codecs/cairn_record.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/database_builder.h>
#include <cairn/manager/internal/ocdbt_store.h>

#include <limits>

namespace cairn::internal {

OcdbtStore::OcdbtStore(std::shared_ptr<SaveState> state, ItemContent& content,
                       std::optional<std::uint64_t> linkable_file_bytes, bool joins)
    : state_(std::move(state)),
      content_(content),
      linkable_file_bytes_(linkable_file_bytes),
      joins_(joins) {}

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

void OcdbtStore::note_fixed(PieceList list, std::uint64_t offset) {
  FilePlace place;
  place.offset = offset;
  note(std::move(list), place);
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

Task<void> OcdbtStore::finish_data() {
  if (!files_finished_) co_await finish_files();
  const std::int64_t now_ns = state_->engine->clock().now_ns();
  const std::string nodes_name = data_file_name();
  auto build = [this, now_ns, path = "d/" + nodes_name] {
    EncodedDatabase database = build_database(content_, files_->files(), path, now_ns);
    manifest_hash_ = content_hash(database.manifest);
    return database;
  };
  EncodedDatabase database =
      co_await engine::async_run(state_->engine->cpu(), std::move(build), asio::use_awaitable);
  state_->stored += database.nodes.size() + database.manifest.size();
  co_await write_file(files_->folder(), nodes_name, std::move(database.nodes));
  manifest_ = std::move(database.manifest);
}

Task<void> OcdbtStore::finish_metadata() {
  co_await write_file(item_, "manifest.ocdbt", std::move(manifest_));
}

Task<void> OcdbtStore::sync_folders() {
  co_await sync_folder(files_->folder());
}

std::string OcdbtStore::manifest_hash() const {
  return manifest_hash_;
}

}  // namespace cairn::internal
