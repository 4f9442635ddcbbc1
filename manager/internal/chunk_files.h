#pragma once
// Chunks as files of their own in a directory for each array: plain zarr, as zarr-python has it.

#include <cairn/engine/async_semaphore.h>
#include <cairn/manager/internal/chunk_store.h>

#include <memory>
#include <string>
#include <vector>

namespace cairn::internal {

class ChunkFiles final : public ChunkStore {
 public:
  /// Lists the directories; on the CPU pool.
  ChunkFiles(std::shared_ptr<SaveState> state, ItemContent& content);
  Task<void> open(FolderPtr item) override;
  Task<void> write(PieceList list, std::span<const std::byte> bytes, FileClass kind) override;
  Task<void> finish_data() override;
  Task<void> finish_metadata() override;
  Task<void> sync_folders() override;
  [[nodiscard]] std::string manifest_hash() const override { return ""; }

 private:
  Task<void> write_piece(Piece piece, std::span<const std::byte> bytes);
  Task<void> write_large(std::string name, std::span<const std::byte> bytes, std::size_t length);
  Task<void> write_array_metadata(std::size_t leaf);
  Task<void> sync_below(std::string name);

  std::shared_ptr<SaveState> state_;
  ItemContent& content_;
  engine::AsyncSemaphore slots_;
  FolderPtr item_;
  /// Directories below the item by how deep they are: those of one level know nothing of each
  /// other.
  std::vector<std::vector<std::string>> levels_;
};

}  // namespace cairn::internal
