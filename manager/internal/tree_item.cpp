// Reading an item, or a directory within one, as a tree.

#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/leaf_info.h>
#include <cairn/manager/internal/tree_reader.h>

namespace cairn::internal {

Task<Tree> load_tree(FolderPtr folder, std::string item, ItemForm form) {
  TreeReader reader(folder, item, form);
  co_await reader.open();
  co_return co_await reader.load();
}

Task<ItemMetadata> describe_tree(FolderPtr folder, std::string item, ItemForm form) {
  TreeReader reader(folder, item, form, throw_damage(), ForeignLeaves::listed);
  co_await reader.open();
  const std::vector<std::uint64_t> stored = co_await reader.stored_bytes();
  ItemMetadata metadata;
  metadata.leaves.reserve(stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const StoredLeaf& leaf = reader.leaves()[i];
    metadata.leaves.push_back(describe_leaf(leaf, stored[i]));
    if (leaf.type == orbax::ValueType::foreign)
      metadata.leaves.back().fault = reader.index().foreign_error(leaf);
    metadata.bytes += metadata.leaves.back().bytes;
    metadata.stored_bytes += stored[i];
  }
  metadata.tree = reader.specs();
  if (const auto& tree = reader.index().metadata()) {
    if (const auto* custom = tree->custom_metadata.if_object()) metadata.custom_metadata = *custom;
  }
  co_return metadata;
}

Task<void> verify_tree(FolderPtr folder, std::string item, ItemForm form, bool values,
                       DamageSink damage, VerifyReport* report) {
  TreeReader reader(folder, item, form, std::move(damage));
  co_await reader.open();
  if (values) co_await reader.verify(report);
}

}  // namespace cairn::internal
