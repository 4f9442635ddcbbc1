#include <cairn/codecs/format_error.h>
#include <cairn/manager/internal/lazy_item.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/tree_reader.h>

#include <algorithm>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kJsonBytesMax = std::uint64_t{1} << 30;

Task<boost::json::value> read_json(OpenStepPtr step, std::string item) {
  FolderPtr folder = co_await item_folder(step, item);
  const auto entries = co_await list_folder(folder);
  const std::string name = json_file(entries);
  if (name.empty())
    throw step_error(ErrorCode::not_found, "the item has no JSON document", folder->path, item);
  const std::string text = co_await read_file(folder, name, kJsonBytesMax);
  try {
    co_return orbax::parse_json(text, "JSON item");
  } catch (const FormatError& error) {
    ErrorContext context;
    context.path = join_path(folder->path, name);
    context.item = item;
    context.offset = error.offset();
    throw Error(ErrorCode::data_loss, error.what(), context);
  }
}

bool is_tree_restore(const args::ItemRestore& how) {
  return std::holds_alternative<args::StandardRestore>(how) ||
         std::holds_alternative<args::PyTreeRestore>(how) ||
         std::holds_alternative<args::LazyRestore>(how);
}

}  // namespace

Task<Restored::Item> restore_item(OpenStepPtr step, std::string item, args::ItemRestore how) {
  if (std::ranges::find(step->items, item) == step->items.end()) {
    if (std::ranges::count(missing_items(*step), item) > 0) throw missing_item(*step, item);
    throw step_error(ErrorCode::not_found,
                     step->direct ? std::string("the step is a single item, which has no name")
                                  : "the step has no such item; items: " + names_of(step->items),
                     step->folder->path, item);
  }
  ItemKind kind = co_await item_kind(step, item);
  if (is_tree_restore(how) && kind == ItemKind::json) {
    throw step_error(ErrorCode::invalid_argument, "the item is a JSON document", step->folder->path,
                     item, "Use JsonRestore");
  }
  if (std::holds_alternative<args::JsonRestore>(how)) {
    if (kind == ItemKind::tree) {
      throw step_error(ErrorCode::invalid_argument, "the item is a tree", step->folder->path, item,
                       "Use StandardRestore");
    }
    kind = ItemKind::json;
  }
  if (kind == ItemKind::unknown) {
    throw step_error(ErrorCode::not_supported,
                     "the item has neither a tree's nor a JSON item's files", step->folder->path,
                     item);
  }
  if (kind == ItemKind::json) {
    boost::json::value value = co_await read_json(step, item);
    co_return Restored::Item(std::move(value));
  }
  FolderPtr folder = co_await item_folder(step, item);
  if (std::holds_alternative<args::LazyRestore>(how)) {
    LazyTree lazy = co_await open_lazily(step, folder, item);
    co_return Restored::Item(std::move(lazy));
  }
  TreeReader reader(folder, item, item_form(*step, item));
  Tree tree = co_await reader.restore(tree_request(std::move(how)));
  co_return Restored::Item(std::move(tree));
}

Task<std::string> single_item(OpenStepPtr step, std::string item_name) {
  if (step->direct) co_return std::string();
  for (const std::string& name : {item_name, std::string("default"), std::string("state")}) {
    if (std::ranges::find(step->items, name) != step->items.end()) co_return name;
    // Not the next best: that would be other data than was asked for.
    if (std::ranges::count(missing_items(*step), name) > 0) throw missing_item(*step, name);
  }
  std::vector<std::string> trees;
  for (const std::string& name : step->items) {
    const ItemKind kind = co_await item_kind(step, name);
    if (kind == ItemKind::tree) trees.push_back(name);
  }
  if (trees.size() == 1) co_return trees[0];
  throw step_error(ErrorCode::not_found,
                   "the step has no item '" + item_name +
                       "' and not just one tree; items: " + names_of(step->items),
                   step->folder->path, "", "Name the items in a CompositeRestore");
}

namespace {

Task<Restored> restore_open_step(OpenStepPtr step, Step number, args::RestoreArgs args,
                                 std::string item_name) {
  std::vector<std::pair<std::string, args::ItemRestore>> wanted;
  if (auto* composite = std::get_if<args::CompositeRestore>(&args.value)) {
    wanted = std::move(composite->items);
    if (wanted.empty()) {
      const std::vector<std::string> missing = missing_items(*step);
      if (!missing.empty()) throw missing_item(*step, missing.front());
      // Everything that can be read: an item without a known handler is left out, as in Orbax.
      for (const std::string& name : step->items) {
        const ItemKind kind = co_await item_kind(step, name);
        if (kind != ItemKind::unknown) wanted.emplace_back(name, args::AnyRestore());
      }
    }
  } else {
    std::string name = co_await single_item(step, item_name);
    if (auto* standard = std::get_if<args::StandardRestore>(&args.value)) {
      wanted.emplace_back(std::move(name), std::move(*standard));
    } else if (auto* pytree = std::get_if<args::PyTreeRestore>(&args.value)) {
      wanted.emplace_back(std::move(name), std::move(*pytree));
    } else if (std::holds_alternative<args::LazyRestore>(args.value)) {
      wanted.emplace_back(std::move(name), args::LazyRestore());
    } else {
      wanted.emplace_back(std::move(name), args::JsonRestore());
    }
  }
  std::vector<std::pair<std::string, Restored::Item>> items;
  for (auto& [name, how] : wanted) {
    Restored::Item item = co_await restore_item(step, name, std::move(how));
    items.emplace_back(name, std::move(item));
  }
  co_return Restored(number, std::move(items));
}

}  // namespace

Task<Restored> restore_step(EnginePtr engine, std::string path, Step number, args::RestoreArgs args,
                            std::string item_name) {
  OpenStepPtr step = co_await open_step(engine, path);
  std::exception_ptr failure;
  try {
    Restored restored =
        co_await restore_open_step(step, number, std::move(args), std::move(item_name));
    const bool is_held = std::ranges::any_of(restored.items(), [](const auto& item) {
      return std::holds_alternative<LazyTree>(item.second);
    });
    if (!is_held) co_await close_step(step);
    co_return restored;
  } catch (...) {
    failure = std::current_exception();
  }
  failure = co_await explain_failure(step->folder, failure);
  std::rethrow_exception(failure);
}

Task<boost::json::object> read_metrics(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step(engine, path);
  if (std::ranges::find(step->items, "metrics") == step->items.end())
    co_return boost::json::object();
  boost::json::value value = co_await read_json(step, "metrics");
  co_await close_step(step);
  if (!value.is_object()) {
    throw step_error(ErrorCode::data_loss, "the metrics are not a JSON object",
                     join_path(path, "metrics"), "metrics");
  }
  co_return std::move(value.as_object());
}

}  // namespace cairn::internal
