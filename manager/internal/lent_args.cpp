#include <cairn/manager/internal/lent_args.h>

#include <cassert>

namespace cairn::internal {
namespace {

std::optional<Tree>* target_of(args::ItemRestore& how) {
  if (auto* standard = how.get_if<args::StandardRestore>()) return &standard->target;
  auto* pytree = how.get_if<args::PyTreeRestore>();
  return pytree == nullptr ? nullptr : &pytree->target;
}

/// By item, in the order of what is restored; null for items that take no target.
std::vector<std::optional<Tree>*> targets_of(args::RestoreArgs& args) {
  if (auto* item = std::get_if<args::ItemRestore>(&args.value)) return {target_of(*item)};
  std::vector<std::optional<Tree>*> targets;
  if (auto* composite = std::get_if<args::CompositeRestore>(&args.value)) {
    for (auto& [name, how] : composite->items) targets.push_back(target_of(how));
  }
  return targets;
}

/// Calls `visit` with each child of `node` and the one at the same place in `other`, a tree of the
/// same structure.
template <class Visit>
void for_each_pair(Tree& node, Tree& other, const Visit& visit) {
  if (auto* dict = std::get_if<Dict>(&node.value())) {
    auto* there = other.as<Dict>().begin();
    for (auto& [name, child] : *dict) visit(child, (there++)->second);
  } else if (auto* list = std::get_if<List>(&node.value())) {
    for (std::size_t i = 0; i < list->size(); ++i) visit((*list)[i], other.as<List>()[i]);
  } else if (auto* tuple = std::get_if<Tuple>(&node.value())) {
    for (std::size_t i = 0; i < tuple->size(); ++i) visit((*tuple)[i], other.as<Tuple>()[i]);
  }
}

/// A copy that refers to the arrays of `tree`.
Tree lend_arrays(Tree& tree) {
  if (auto* array = std::get_if<Array>(&tree.value())) return MutableArrayView(*array);
  if (auto* dict = std::get_if<Dict>(&tree.value())) {
    Dict copy;
    for (auto& [name, child] : *dict) copy[name] = lend_arrays(child);
    return copy;
  }
  if (auto* list = std::get_if<List>(&tree.value())) {
    List copy;
    for (Tree& child : *list) copy.push_back(lend_arrays(child));
    return copy;
  }
  if (auto* tuple = std::get_if<Tuple>(&tree.value())) {
    Tuple copy;
    for (Tree& child : *tuple) copy.push_back(lend_arrays(child));
    return copy;
  }
  return tree;
}

void return_arrays(Tree& lender, Tree& result) {
  if (auto* array = std::get_if<Array>(&lender.value())) {
    result = Tree(std::move(*array));
    return;
  }
  for_each_pair(lender, result, return_arrays);
}

}  // namespace

args::RestoreArgs LentArgs::lend() {
  // Copied without the targets, whose arrays would be copied too.
  const std::vector<std::optional<Tree>*> lenders = targets_of(args_);
  std::vector<std::optional<Tree>> held(lenders.size());
  for (std::size_t i = 0; i < lenders.size(); ++i) {
    if (lenders[i] != nullptr) held[i].swap(*lenders[i]);
  }
  args::RestoreArgs copy = args_;
  const std::vector<std::optional<Tree>*> borrowers = targets_of(copy);
  for (std::size_t i = 0; i < lenders.size(); ++i) {
    if (!held[i]) continue;
    lenders[i]->swap(held[i]);
    borrowers[i]->emplace(lend_arrays(**lenders[i]));
  }
  return copy;
}

void LentArgs::give_back(Restored& restored) {
  const std::vector<std::optional<Tree>*> lenders = targets_of(args_);
  for (std::size_t i = 0; i < lenders.size(); ++i) {
    if (lenders[i] == nullptr || !*lenders[i]) continue;
    return_arrays(**lenders[i], restored.tree(restored.items()[i].first));
  }
}

}  // namespace cairn::internal
