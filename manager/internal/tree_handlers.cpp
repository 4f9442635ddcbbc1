// The handlers of items that are trees: Standard, PyTree and Array.

#include <cairn/manager/args.h>
#include <cairn/manager/array_item.h>
#include <cairn/manager/internal/handler_lookup.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/lazy_item.h>
#include <cairn/manager/internal/tree_reader.h>

namespace cairn {
namespace internal {
namespace {

class TreeItemReader final : public ItemReader {
 public:
  Task<std::any> restore(OpenStepPtr step, std::string item,
                         args::ItemRestore args) const override {
    FolderPtr folder = co_await item_folder(step, item);
    if (args.get_if<args::LazyRestore>() != nullptr) {
      LazyTree lazy = co_await open_lazily(step, folder, item);
      co_return std::any(std::move(lazy));
    }
    TreeReader reader(folder, item, item_form(*step, item));
    Tree tree = co_await reader.restore(tree_request(std::move(args)));
    co_return std::any(std::move(tree));
  }
  Task<ItemMetadata> describe(OpenStepPtr step, std::string item) const override {
    FolderPtr folder = co_await item_folder(step, item);
    co_return co_await describe_tree(folder, item, item_form(*step, item));
  }
  Task<void> verify(OpenStepPtr step, std::string item, bool values, DamageSink damage,
                    VerifyReport* report) const override {
    FolderPtr folder = co_await item_folder(step, item);
    co_await verify_tree(folder, item, item_form(*step, item), values, std::move(damage), report);
  }
};

/// Whichever of them saved a tree, each reads it.
class TreeHandler : public ItemHandler {
 public:
  [[nodiscard]] bool reads(std::string_view recorded) const override {
    return kind_by_handler(recorded) == ItemKind::tree;
  }

 private:
  [[nodiscard]] std::shared_ptr<const ItemReader> make_reader() const override {
    return std::make_shared<TreeItemReader>();
  }
};

class StandardHandler final : public TreeHandler {
 public:
  [[nodiscard]] std::string_view name() const override { return orbax::kStandardHandler; }
  [[nodiscard]] std::vector<std::type_index> save_args() const override {
    return {typeid(args::StandardSave)};
  }
  [[nodiscard]] std::vector<std::type_index> restore_args() const override {
    return {typeid(args::StandardRestore), typeid(args::LazyRestore)};
  }

 private:
  [[nodiscard]] std::shared_ptr<ItemSaver> make_saver(SaverRequest request) const override {
    return make_tree_saver(std::move(request.item),
                           std::move(*std::any_cast<args::StandardSave>(&request.args)),
                           std::move(request.tree), std::move(request.state));
  }
};

class PyTreeHandler final : public TreeHandler {
 public:
  [[nodiscard]] std::string_view name() const override { return orbax::kPyTreeHandler; }
  [[nodiscard]] std::vector<std::type_index> save_args() const override {
    return {typeid(args::PyTreeSave)};
  }
  [[nodiscard]] std::vector<std::type_index> restore_args() const override {
    return {typeid(args::PyTreeRestore), typeid(args::StandardRestore), typeid(args::LazyRestore)};
  }

 private:
  [[nodiscard]] std::shared_ptr<ItemSaver> make_saver(SaverRequest request) const override {
    request.tree.handler = orbax::kPyTreeHandler;
    request.tree.strings = true;
    return make_tree_saver(std::move(request.item),
                           std::move(*std::any_cast<args::PyTreeSave>(&request.args)),
                           std::move(request.tree), std::move(request.state));
  }
};

class ArrayHandler final : public TreeHandler {
 public:
  [[nodiscard]] std::string_view name() const override { return orbax::kArrayHandler; }
  [[nodiscard]] std::vector<std::type_index> save_args() const override {
    return {typeid(args::ArraySave)};
  }
  [[nodiscard]] std::vector<std::type_index> restore_args() const override {
    return {typeid(args::ArrayRestore), typeid(args::StandardRestore), typeid(args::LazyRestore)};
  }

 private:
  [[nodiscard]] std::shared_ptr<ItemSaver> make_saver(SaverRequest request) const override {
    args::ArraySave save = std::move(*std::any_cast<args::ArraySave>(&request.args));
    return make_array_saver(std::move(request.item), std::move(save.array), std::move(save.codec),
                            std::move(request.tree), std::move(request.state));
  }
};

[[nodiscard]] bool is_array_or_number(const Tree& tree) {
  return tree.is<Array>() || tree.is<ArrayView>() || tree.is<Leaf>() || tree.is<bool>() ||
         tree.is<std::int64_t>() || tree.is<std::uint64_t>() || tree.is<double>();
}

}  // namespace

std::shared_ptr<ItemSaver> make_array_saver(std::string item, Tree array,
                                            std::optional<Codec> codec, TreeSettings settings,
                                            std::shared_ptr<SaveState> state) {
  if (!is_array_or_number(array)) {
    ErrorContext context;
    context.item = item;
    context.remedy = "Save it with StandardSave";
    throw Error(ErrorCode::invalid_argument,
                "an array item is an array or a number, this is a " + std::string(array.kind()),
                context);
  }
  // What Orbax's handler writes: the one array below the name that it always has.
  Dict tree;
  tree[orbax::kArrayItemKey] = std::move(array);
  args::TreeSave save{Tree(std::move(tree))};
  save.codec = std::move(codec);
  save.layout = Layout::zarr2;
  settings.handler = orbax::kArrayHandler;
  settings.incremental = false;
  return make_tree_saver(std::move(item), std::move(save), std::move(settings), std::move(state));
}

}  // namespace internal

HandlerPtr handlers::standard() {
  static const HandlerPtr handler = std::make_shared<internal::StandardHandler>();
  return handler;
}
HandlerPtr handlers::pytree() {
  static const HandlerPtr handler = std::make_shared<internal::PyTreeHandler>();
  return handler;
}
HandlerPtr handlers::array() {
  static const HandlerPtr handler = std::make_shared<internal::ArrayHandler>();
  return handler;
}

}  // namespace cairn
