#include <cairn/manager/internal/lazy_item.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/lazy_tree.h>

#include <functional>

namespace cairn {
namespace internal {
namespace {

/// The node at the end of the path of `selection`, of which something was read.
Tree node_at(Tree tree, const args::Selection& selection) {
  const auto* keys = std::get_if<KeyPath>(&selection.path);
  const std::string text = text_of(selection);
  KeyPath here;
  std::function<Tree*(Tree&)> find = [&](Tree& node) -> Tree* {
    if (keys != nullptr ? here.size() == keys->size() : to_string(here) == text || text.empty())
      return &node;
    const auto below = [&](std::string name, Key::Kind kind, Tree& child) -> Tree* {
      // What was not asked for is null, or not there.
      if (keys != nullptr && (*keys)[here.size()].name != name) return nullptr;
      here.emplace_back(std::move(name), kind);
      Tree* const found = find(child);
      here.pop_back();
      return found;
    };
    if (auto* dict = std::get_if<Dict>(&node.value())) {
      for (auto& [name, child] : *dict) {
        if (Tree* found = below(name, Key::Kind::dict, child)) return found;
      }
      return nullptr;
    }
    std::vector<Tree>* elements = std::get_if<List>(&node.value());
    if (elements == nullptr) elements = std::get_if<Tuple>(&node.value());
    for (std::size_t i = 0; elements != nullptr && i < elements->size(); ++i) {
      if (Tree* found = below(std::to_string(i), Key::Kind::sequence, (*elements)[i])) return found;
    }
    return nullptr;
  };
  if (Tree* const found = find(tree)) return std::move(*found);
  // A text that ends within a key: "a" of the key "a/b".
  ErrorContext context;
  context.key_path = text;
  throw Error(ErrorCode::not_found, "the tree has no node at this path, though names begin with it",
              context);
}

using LazyItemPtr = std::shared_ptr<LazyItem>;

Task<Tree> read_item(LazyItemPtr lazy, args::ItemRestore how) {
  OpenItem& item = *lazy->item;
  std::exception_ptr failure;
  try {
    co_return co_await item.reader.read(tree_request(std::move(how)));
  } catch (...) {
    failure = std::current_exception();
  }
  failure = co_await explain_failure(item.step->folder, failure);
  std::rethrow_exception(failure);
}

Task<Tree> read_node(LazyItemPtr lazy, args::Selection selection) {
  args::StandardRestore how(Selections(1, selection));
  Tree tree = co_await read_item(lazy, std::move(how));
  co_return node_at(std::move(tree), selection);
}

const EnginePtr& engine_of(const LazyItemPtr& lazy) {
  return lazy->item->step->folder->engine;
}

}  // namespace

LazyItem::LazyItem(std::shared_ptr<OpenItem> i, Tree t) : item(std::move(i)), tree(std::move(t)) {
  const auto& metadata = item->reader.index().metadata();
  if (!metadata) return;
  if (const auto* object = metadata->custom_metadata.if_object()) custom_metadata = *object;
}

Task<LazyTree> open_lazily(OpenStepPtr step, FolderPtr folder, std::string name) {
  auto item = std::make_shared<OpenItem>(step, folder, name);
  co_await item->reader.open();
  Tree tree = co_await open_leaves(item);
  co_return LazyTree(std::make_shared<LazyItem>(item, std::move(tree)));
}

}  // namespace internal

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

const Tree& LazyTree::tree() const noexcept {
  return item_->tree;
}
const boost::json::object& LazyTree::custom_metadata() const noexcept {
  return item_->custom_metadata;
}

Future<Tree> LazyTree::read(args::StandardRestore how) const {
  return start_cancellable(engine_of(item_), read_item(item_, std::move(how)), "read",
                           item_->item->step->folder->path);
}
Future<Tree> LazyTree::read(args::PyTreeRestore how) const {
  return start_cancellable(engine_of(item_), read_item(item_, std::move(how)), "read",
                           item_->item->step->folder->path);
}
Future<Tree> LazyTree::read_at(args::Selection selection) const {
  return start_cancellable(engine_of(item_), read_node(item_, std::move(selection)), "read",
                           item_->item->step->folder->path);
}

}  // namespace cairn
