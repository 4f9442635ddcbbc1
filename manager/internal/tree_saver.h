#pragma once
// Saves a tree as an OCDBT database of zarr v3 arrays.
//
//   1. plan: every chunk gets its place (layout.h).
//   2. capture: for each extent, in file order: take a staging buffer, copy and checksum on the CPU
//   pool.
//   3. write: each captured extent goes to the data file as soon as that is open; the buffer is
//   released.
//   4. finish: sync the data file; encode the B+tree; write and sync it, the manifest and the
//   metadata.

#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/buffer_arena.h>
#include <cairn/manager/internal/item_saver.h>
#include <cairn/manager/internal/layout.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

class TreeSaver final : public ItemSaver {
 public:
  TreeSaver(std::string item, args::StandardSave args, Capture capture,
            std::shared_ptr<SaveState> state);

  void plan() override;
  [[nodiscard]] std::uint64_t staging_bytes() const override { return layout_.file_bytes; }
  [[nodiscard]] std::uint64_t element_bytes() const override { return layout_.element_bytes; }
  Task<void> capture(engine::Nursery& nursery) override;
  Task<void> open(FolderPtr step) override;
  Task<void> finish_data() override;
  Task<void> finish_metadata() override;
  [[nodiscard]] std::string_view handler() const override { return orbax::kStandardHandler; }

 private:
  /// Memory of the caller's that can be written as it lies, and the file block behind it.
  struct Borrowed {
    Borrowed() = default;
    std::span<const std::byte> body;  ///< whole blocks
    std::span<const std::byte> rest;  ///< what is left of the last one, before the checksum
  };

  Task<void> capture_and_write(std::size_t index, engine::Buffer buffer);
  Task<void> borrow_and_write(std::size_t index, Borrowed memory);
  Task<void> fill_extent(std::size_t index, std::byte* to);
  Task<void> fill_from_leaf(const ChunkPlace& place, std::byte* to);
  Task<void> write_extent(std::uint64_t offset, std::span<const std::byte> bytes);
  void capture_inlined();
  void store_views(const Extent& extent, std::byte* to) const;
  [[nodiscard]] std::optional<Borrowed> borrowable(const Extent& extent) const;
  [[nodiscard]] std::span<const ChunkPlace> places(const Extent& extent) const;
  [[nodiscard]] const ArrayLayout& array_of(const ChunkPlace& place) const;
  [[nodiscard]] const Tree& node_of(const ChunkPlace& place) const;
  [[nodiscard]] std::uint64_t element_bytes_of(const Extent& extent) const;
  void extent_captured(std::size_t index);

  std::string item_;
  args::StandardSave args_;
  Capture capture_;
  std::shared_ptr<SaveState> state_;
  EnginePtr engine_;
  ItemLayout layout_;
  std::vector<std::string> inline_values_;
  std::size_t uncaptured_ = 0;
  std::shared_ptr<impl::SharedState<void>> all_captured_ =
      std::make_shared<impl::SharedState<void>>();
  std::shared_ptr<impl::SharedState<void>> opened_ = std::make_shared<impl::SharedState<void>>();
  engine::AsyncSemaphore write_slots_;
  FolderPtr folder_;
  FolderPtr data_folder_;
  FilePtr data_file_;
  std::string data_name_;      ///< "d/<hex>"
  std::string nodes_name_;     ///< likewise
  std::string manifest_;       ///< encoded
  std::string tree_metadata_;  ///< encoded
};

}  // namespace cairn::internal
