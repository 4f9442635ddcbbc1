#pragma once
// Reads a tree item: metadata, database, and arrays with every checksum verified.

#include <cairn/codecs/statistics.h>
#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/chunk_plan.h>
#include <cairn/manager/internal/item_index.h>
#include <cairn/manager/internal/target_plan.h>

#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

class TreeReader {
 public:
  /// `damage` gets what is wrong with single arrays and chunks; for reads that go on without them.
  /// With ForeignLeaves::listed, open() passes foreign leaves over, and load() and read() refuse
  /// them.
  TreeReader(FolderPtr item, std::string name, ItemForm form, DamageSink damage = throw_damage(),
             ForeignLeaves foreign = ForeignLeaves::reported)
      : damage_(damage), index_(std::move(item), std::move(name), form, damage_, foreign) {}

  /// Reads metadata and database, of `selections` or of everything. What follows needs it.
  Task<void> open(Selections selections = {});
  [[nodiscard]] const ItemIndex& index() const noexcept { return index_; }
  [[nodiscard]] const std::vector<StoredLeaf>& leaves() const noexcept { return index_.leaves(); }
  /// Bytes of the chunks of each leaf on disk; chunks that are missing count nothing.
  Task<std::vector<std::uint64_t>> stored_bytes();
  /// What open() chose. A bare array is a tree of its own.
  Task<Tree> load();
  /// Opens what is asked for and reads that alone. Instead of open().
  Task<Tree> restore(TreeRequest request);
  /// Reads what is asked for, of everything, which has been opened. Several at once may.
  Task<Tree> read(TreeRequest request) const;
  /// The tree of what each leaf's array is, in order; what they are makes no difference for leaves
  /// without one. Throws data_loss where the paths make no tree.
  [[nodiscard]] Tree assemble(std::vector<Tree> arrays) const;
  /// The tree with a LeafSpec for each array, number and string.
  [[nodiscard]] Tree specs() const;
  /// Reads and checks everything. Adds to the counts of `report`.
  Task<void> verify(VerifyReport* report);
  /// Of each leaf, in order; empty for those without elements.
  Task<std::vector<Statistics>> statistics();

 private:
  void refuse_if_foreign(const StoredLeaf& leaf) const;
  Task<ReadPlan> plan(ReadScope scope) const;
  Task<Tree> load(ReadScope scope, std::vector<KeyPath> gaps) const;
  [[nodiscard]] Tree assemble(std::span<const StoredLeaf> leaves, const std::vector<KeyPath>& gaps,
                              std::vector<Tree> arrays) const;
  [[nodiscard]] Tree build(std::vector<std::pair<KeyPath, Tree>> entries) const;
  void restore_tuples(Tree& tree) const;

  DamageSink damage_;
  ItemIndex index_;
};

}  // namespace cairn::internal
