#pragma once
// What an incremental save takes over from the newest step there is: the traces of its chunks
// (CairnRecord::chunks), and links to the data files that are worth keeping. Used on the strand.
//
// A file is linked when it was written by this library (the record names it, and the record is that
// of the manifest), is younger than max_link_age, and was in use for at least half by the step
// before. One that this manager did not make durable itself is synced first (synced_files.h). So a
// step holds no file of which more than half was dead weight already one step ago, and the chunks
// of one that is dropped are written afresh beside those that rarely change.

#include <cairn/codecs/cairn_record.h>
#include <cairn/manager/internal/data_files.h>
#include <cairn/manager/internal/step_rules.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace cairn::internal {

/// Least part of a file that the step before used, for it to be linked.
inline constexpr double kLiveShareMin = 0.5;

class LinkSource {
 public:
  /// All of these outlive it.
  LinkSource(const ItemLayout& layout, std::string item, const SyncedFiles& synced)
      : layout_(layout), item_(std::move(item)), synced_(synced) {}

  /// Reads the record of the item in the newest step below `root` and links its data files into
  /// `files`, durable. Returns why nothing, or not everything, could be linked; empty: nothing to
  /// say. Throws what is the matter with the new step only.
  Task<std::string> open(FolderPtr root, StepRules rules, DataFiles* files,
                         std::int64_t max_link_age);

  /// Whether there is anything to link.
  [[nodiscard]] bool empty() const noexcept { return linked_ == 0; }
  /// The chunk as the step before has it; null where that had no such array.
  [[nodiscard]] const ChunkTrace* trace(const ChunkPlace& place) const;
  /// Where the chunk is in a linked file, if it has not changed.
  [[nodiscard]] std::optional<StoredChunk> find(const ChunkPlace& place,
                                                const ContentHash& hash) const;

 private:
  Task<void> read(FolderPtr item);
  void match_arrays();
  Task<void> link_all(FolderPtr data, DataFiles* files, std::int64_t max_link_age);
  Task<void> link(FolderPtr from, DataFiles* files, std::size_t file);
  /// None, and trouble_, where the file cannot be relied on. There may be a link all the same.
  Task<std::optional<FileId>> try_link(FolderPtr from, FolderPtr to, std::string name,
                                       std::uint64_t bytes);
  [[nodiscard]] std::vector<std::uint64_t> live_bytes() const;

  const ItemLayout& layout_;
  const std::string item_;
  const SyncedFiles& synced_;
  CairnRecord record_;
  std::string trouble_;
  std::vector<std::uint64_t> live_;                           ///< bytes in use of each file
  std::size_t linked_ = 0;                                    ///< files
  std::vector<const ArrayTrace*> array_of_leaf_;              ///< null: a new array
  std::vector<const ChunkChecksums*> checksums_of_leaf_;      ///< null: none kept
  std::vector<std::optional<std::uint32_t>> number_of_file_;  ///< in DataFiles; none: not linked
};

}  // namespace cairn::internal
