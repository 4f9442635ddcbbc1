#pragma once
// Saves a tree as one item.
//
//   1. plan: every chunk gets its extent (layout.h) and its codec (codec_choice.h).
//   2. capture: for each extent take a staging buffer, copy and checksum on the CPU pool.
//   3. store: once the item's directory is open, raw extents are written from staging; others are
//      encoded on the CPU pool into a buffer of the window and written from there. What an
//      incremental save finds unchanged is not written.
//   4. finish: sync the data; then database, manifest and metadata.
//
// No wait while holding what others need: staging buffers are held by extents of saves that hold
// all the staging they will ask for, or wait in the order of their saves; a window buffer is asked
// for only once the item is open, so that its holder waits for nothing but the cores and the disk.

#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/buffer_arena.h>
#include <cairn/manager/internal/extent_capture.h>
#include <cairn/manager/internal/item_saver.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/link_source.h>
#include <cairn/manager/internal/ocdbt_store.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

class TreeSaver final : public ItemSaver {
 public:
  TreeSaver(std::string item, args::TreeSave args, TreeSettings settings,
            std::shared_ptr<SaveState> state);

  Task<void> agree(double disk_rate) override;
  [[nodiscard]] bool is_shared() const override {
    return settings_.scope && settings_.scope->group().shares_root() &&
           uses_ocdbt(settings_.layout);
  }
  void plan(double disk_rate) override;
  [[nodiscard]] std::uint64_t staging_bytes() const override { return layout_.staging_bytes; }
  [[nodiscard]] std::uint64_t element_bytes() const override { return layout_.element_bytes; }
  Task<void> capture(engine::Nursery* nursery) override;
  Task<void> open(FolderPtr root, FolderPtr step) override;
  Task<void> finish_data() override;
  Task<void> finish_metadata() override;
  [[nodiscard]] std::string_view handler() const override { return settings_.handler; }
  [[nodiscard]] std::optional<ItemSummary> summary() const override { return summary_; }

 private:
  /// Memory of the caller's that can be written as it lies, and the file block behind it.
  struct Borrowed {
    Borrowed() = default;
    std::span<const std::byte> body;  ///< whole blocks
    std::span<const std::byte> rest;  ///< what is left of the last one, before the checksum
  };
  /// Chunks of an extent that go to one file: flags by their place in it; empty: all of them.
  struct Selection {
    Selection() = default;
    std::vector<bool> wanted;
    FileClass kind = FileClass::cold;
    std::size_t bytes = 0;  ///< that they take in staging
  };

  /// Some of the inline chunks.
  struct InlinedPart {
    InlinedPart() = default;
    std::uint64_t element_bytes = 0;
    std::vector<std::size_t> leaves;  ///< those of a Leaf, which is asked for on the strand
  };

  /// Memory for an extent's elements, with a permit of growth_ where staging grows for it.
  struct Place {
    Place() = default;
    engine::Buffer staging;
    engine::Permit growth;
  };
  Task<Place> staging_for(std::size_t index);
  /// It takes staging memory that the kernel has yet to provide, and can wait for a worker.
  [[nodiscard]] bool grows_in_turn(const Extent& extent) const;
  Task<void> transfer(std::size_t index, Place place);
  Task<void> store_extent(std::size_t index, engine::Buffer staging);
  /// A whole extent from where it lies.
  Task<void> store_staged(std::size_t index, FileClass kind, std::span<const std::byte> staging);
  /// What is selected by way of the window, encoded or copied. `last`: staging is given back before
  /// it is written.
  Task<void> rewrite_and_store(std::size_t index, Selection selection, bool encode,
                               engine::Buffer* staging, bool last);
  Task<void> borrow_and_write(std::size_t index, Borrowed memory);
  Task<void> write_borrowed(std::uint64_t offset, std::span<const std::byte> bytes);
  Task<void> capture_inlined();
  [[nodiscard]] InlinedPart capture_inlined_views(std::size_t begin, std::size_t end);
  /// From its elements, behind which there is their crc32c.
  void set_inlined(std::size_t index, const std::byte* elements);
  [[nodiscard]] std::optional<Borrowed> borrowable(const Extent& extent) const;
  void extent_captured(std::size_t index);
  /// While the disk takes the data: what does not depend on what becomes of it.
  Task<void> encode_early();
  Task<void> encode_texts();
  /// The tree, which is known once it is planned.
  Task<void> write_tree_metadata();
  Task<void> write_texts(std::string metadata, std::optional<std::string> index);
  /// store_'s finish_data(), and sum_up() beside it.
  Task<void> finish_store();
  /// Once every chunk is stored.
  Task<void> sum_up();

  // Several processes (tree_saver_shares.cpp).
  [[nodiscard]] PlanSettings plan_settings(double disk_rate) const;
  /// Another process makes the directories and writes the metadata.
  [[nodiscard]] bool joins() const { return shares_ && !settings_.scope->group().is_primary(); }
  /// Throws what `look` does, naming the item; runs it on the CPU pool.
  Task<void> look_at_tree(std::function<void()> look);
  /// This process's files and chunks.
  [[nodiscard]] std::string share_text() const;
  void add_share(const std::string& text);
  /// Throws where a chunk is missing, or there twice.
  void check_complete() const;
  /// Makes this process's data durable and tells the primary, which has everybody's then.
  Task<void> hand_over();

  // Incremental saves (tree_saver_links.cpp).
  Task<void> open_links(FolderPtr root);
  [[nodiscard]] std::vector<Selection> select(const Extent& extent);
  Task<void> drop_unused_links();
  void note_synced();
  [[nodiscard]] ChunkTraces traces() const;

  struct LeafTotals {
    LeafTotals() = default;
    std::uint64_t stored_bytes = 0;
    std::uint64_t chunks = 0;
    std::uint64_t chunks_stored = 0;
  };
  [[nodiscard]] std::vector<LeafTotals> totals() const;
  [[nodiscard]] ItemSummary summarize(const std::vector<LeafTotals>& totals) const;
  [[nodiscard]] std::vector<ChunkChecksums> checksums() const;
  [[nodiscard]] std::vector<ArrayMetadataHash> array_metadata() const;
  /// Without the name.
  [[nodiscard]] CodecRecord codec_record(const PlannedLeaf& leaf, const LeafTotals& sums) const;
  /// Once the store's data is finished and metadata_hash_ is there.
  [[nodiscard]] CairnRecord record(const std::vector<LeafTotals>& totals) const;

  std::string item_;
  args::TreeSave args_;
  TreeSettings settings_;
  std::shared_ptr<SaveState> state_;
  EnginePtr engine_;
  std::shared_ptr<const SharePlan> shares_;  ///< where other processes save it too
  ItemLayout layout_;
  EncodeGate gate_;
  engine::AsyncSemaphore growth_;  ///< extents that memory never touched is copied into at once
  std::unique_ptr<ItemContent> content_;
  std::unique_ptr<ExtentCapture> extents_;
  std::unique_ptr<ChunkStore> store_;
  OcdbtStore* ocdbt_ = nullptr;        ///< store_, where it is one
  std::unique_ptr<LinkSource> links_;  ///< none unless incremental
  std::vector<std::uint8_t> heat_;     ///< of placed chunks, where incremental
  std::size_t uncaptured_ = 0;
  std::shared_ptr<impl::SharedState<void>> all_captured_ =
      std::make_shared<impl::SharedState<void>>();
  std::shared_ptr<impl::SharedState<void>> opened_ = std::make_shared<impl::SharedState<void>>();
  FolderPtr folder_;
  std::string metadata_hash_;  ///< content_hash() of _METADATA
  std::vector<LeafTotals> totals_;
  std::string record_;  ///< encoded
  std::optional<ItemSummary> summary_;
};

}  // namespace cairn::internal
