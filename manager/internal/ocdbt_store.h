#pragma once
// Chunks in the data files of an OCDBT database.

#include <cairn/manager/internal/chunk_store.h>
#include <cairn/manager/internal/data_files.h>
#include <cairn/manager/internal/database_builder.h>

#include <memory>
#include <optional>
#include <string>

namespace cairn::internal {

class OcdbtStore final : public ChunkStore {
 public:
  /// `linkable_file_bytes`: where data files end so that later steps can link them; none: where
  /// the item does. `joins`: another process makes the directories.
  OcdbtStore(std::shared_ptr<SaveState> state, ItemContent& content,
             std::optional<std::uint64_t> linkable_file_bytes, bool joins);
  Task<void> open(FolderPtr item) override;
  Task<void> write(PieceList list, std::span<const std::byte> bytes, FileClass kind) override;
  Task<void> finish_data() override;
  Task<void> finish_metadata() override;
  Task<void> sync_folders() override;
  [[nodiscard]] std::string manifest_hash() const override;

  /// An extent whose place is known, or a part of it, at `offset` of the file of known size.
  Task<void> write_fixed(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Of a chunk in such an extent.
  void note_checksum(std::size_t place, std::uint32_t crc32c);
  /// The first half of finish_data(): this process's files are durable.
  Task<void> finish_files();
  /// Encodes the database. Before finish_data(), which does it otherwise, once every chunk has its
  /// place.
  Task<void> build();
  /// After open().
  [[nodiscard]] DataFiles& files() const noexcept { return *files_; }

 private:
  void note(PieceList list, const FilePlace& place);

  std::shared_ptr<SaveState> state_;
  ItemContent& content_;
  std::optional<std::uint64_t> linkable_file_bytes_;
  bool joins_;
  bool files_finished_ = false;
  FolderPtr item_;
  std::unique_ptr<DataFiles> files_;
  std::string nodes_name_;
  std::optional<EncodedDatabase> database_;
  std::string manifest_hash_;
};

}  // namespace cairn::internal
