#pragma once
// Reading `_CAIRN_INDEX` (codecs/path_index.h): what a few leaves of very many need, without
// `_METADATA`.

#include <cairn/codecs/path_index.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/selection.h>
#include <cairn/manager/internal/storage.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace cairn::internal {

/// Items of fewer leaves have no index: their metadata is read as fast.
inline constexpr std::size_t kIndexedLeavesMin = 4096;

/// The index of a save's metadata, which has `entries`; its text is given to finish(). None for
/// items that need none or cannot have one. Pure; runs on the CPU pool.
[[nodiscard]] std::optional<PathIndexWriter> index_paths(
    const ItemLayout& layout, const std::vector<orbax::TreeEntry>& entries);

/// An index that is open. Its operations throw Error, data_loss where the file is damaged.
class PathIndexFile {
 public:
  /// The item's; null where it has none, or one of another `_METADATA`.
  static Task<std::unique_ptr<PathIndexFile>> open(FolderPtr item);

  PathIndexFile(FilePtr file, EnginePtr engine, PathIndexRoot root)
      : file_(std::move(file)), engine_(std::move(engine)), root_(std::move(root)) {}

  [[nodiscard]] const PathIndexRoot& root() const noexcept { return root_; }
  /// Those whose names are `name` or go on from it with a dot.
  Task<std::vector<IndexedLeaf>> at_or_below(std::string name);
  /// One of those at or below a path; none where there is none.
  Task<std::optional<IndexedLeaf>> any_below(KeyPath path);
  Task<std::vector<IndexedLeaf>> read_block(std::size_t number);

 private:
  using Leaves = std::shared_ptr<const std::vector<IndexedLeaf>>;
  /// Read before, or now.
  Task<Leaves> block(std::size_t number);
  /// Where names that are `name` or below it begin.
  [[nodiscard]] std::size_t first_block(const std::string& name) const;

  FilePtr file_;
  EnginePtr engine_;
  PathIndexRoot root_;
  std::unordered_map<std::size_t, Leaves> blocks_;
};

/// As much of an item's metadata as `selections` need: the leaves that they name and, for each
/// element of a list of which something is wanted, one leaf of it. In the order of _METADATA.
struct IndexedPart {
  IndexedPart() = default;
  std::vector<orbax::TreeEntry> entries;
  std::vector<KeyNames> tuples;  ///< see CairnRecord
};
/// None where `_METADATA` must be read: there is no index or no `_CAIRN`, the index is damaged, has
/// nothing at one of the paths (which is then an error that names what there is), a string is
/// wanted, whose checksum is in `_CAIRN`, or so much that nothing is gained.
Task<std::optional<IndexedPart>> find_indexed(FolderPtr item, Selections selections);

/// What is wrong with an item's index; none where there is nothing, or no index. `entries`: of its
/// `_METADATA`, all of them, and `tuples` of its record; they stay where they are meanwhile.
Task<std::optional<Error>> path_index_fault(FolderPtr item,
                                            const std::vector<orbax::TreeEntry>* entries,
                                            const std::vector<KeyNames>* tuples);

}  // namespace cairn::internal
