#include <cairn/codecs/format_error.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/tree_reader.h>

#include <algorithm>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kStepMetadataBytesMax = 256u << 20;
constexpr std::uint64_t kJsonBytesMax = std::uint64_t{1} << 30;

Error step_error(ErrorCode code, std::string reason, const std::string& path, std::string item = "",
                 std::string remedy = "") {
  ErrorContext context;
  context.path = path;
  context.item = std::move(item);
  context.remedy = std::move(remedy);
  return Error(code, std::move(reason), context);
}

std::string last_component(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// Takes the reader's lock and reads the step's metadata. A damaged file counts as absent, as in
/// Orbax.
Task<void> read_step_metadata(OpenStepPtr step) {
  const std::string name(orbax::kStepMetadataFile);
  auto [error, file] = co_await step->folder->handle.async_open_file(
      name, engine::OpenMode::read, engine::DirectIo::off, kAsTuple);
  if (error) {
    if (engine::classify(error) == engine::ErrorKind::not_found) co_return;
    raise_failure(error, "open", join_path(step->folder->path, name));
  }
  auto opened = std::make_shared<OpenFile>(std::move(file), join_path(step->folder->path, name));
  auto [lock_error] = co_await opened->file.async_lock(false, kAsTuple);
  if (lock_error && engine::classify(lock_error) == engine::ErrorKind::busy) {
    throw step_error(ErrorCode::step_deleted, "the step is being deleted", step->folder->path);
  }
  // Elsewhere than busy (no locks here) reading goes on: a deletion is then noticed afterwards.
  if (!lock_error) step->lock = std::make_unique<HeldLock>(opened);
  const std::string text = co_await read_file(step->folder, name, kStepMetadataBytesMax);
  try {
    step->metadata = orbax::decode_step_metadata(text);
  } catch (const FormatError&) {
    step->metadata.reset();
  }
}

/// A step that was renamed away while it was read.
Task<bool> is_gone(FolderPtr folder) {
  const std::string path = folder->path;
  auto [error, again] = co_await engine::Directory::async_open(folder->engine, path, kAsTuple);
  if (error) co_return engine::classify(error) == engine::ErrorKind::not_found;
  auto [stat_error, before] = co_await folder->handle.async_stat(std::string(), kAsTuple);
  auto [stat_error2, now] = co_await again.async_stat(std::string(), kAsTuple);
  co_return !stat_error && !stat_error2 &&
      (before.inode != now.inode || before.device != now.device);
}

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

}  // namespace

namespace {

/// Throws what a user needs to know of a step that is not there: a save that never committed, or
/// the steps there are. Returns where the root is not there either.
Task<void> explain_missing(EnginePtr engine, std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) co_return;
  auto [error, handle] =
      co_await engine::Directory::async_open(engine, path.substr(0, slash + 1), kAsTuple);
  if (error) co_return;
  auto root = std::make_shared<Folder>(engine, std::move(handle), path.substr(0, slash));
  auto entries = co_await list_folder(root);
  const std::string unfinished = last_component(path) + std::string(orbax::kTemporaryInfix);
  std::vector<Step> steps;
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.name == unfinished) {
      throw step_error(ErrorCode::incomplete_checkpoint,
                       "a save of this step was begun and never committed", path, "",
                       "Restore another step");
    }
    if (const auto step = orbax::step_from_name(entry.name)) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  // The newest are what is looked for, and a line has an end.
  constexpr std::size_t kNamedMax = 10;
  std::vector<std::string> names;
  for (std::size_t i = steps.size() > kNamedMax ? steps.size() - kNamedMax : 0; i < steps.size();
       ++i) {
    names.push_back(std::to_string(steps[i]));
  }
  throw step_error(ErrorCode::not_found,
                   "there is no such step; the newest are: " + names_of(names), path);
}

}  // namespace

Task<OpenStepPtr> open_step(EnginePtr engine, std::string path) {
  if (orbax::is_temporary_name(last_component(path))) {
    throw step_error(ErrorCode::incomplete_checkpoint, "this save never committed", path, "",
                     "Restore another step");
  }
  auto step = std::make_shared<OpenStep>();
  std::exception_ptr failure;
  try {
    step->folder = co_await open_folder(engine, path);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    if (code_of(failure) == ErrorCode::not_found) co_await explain_missing(engine, path);
    std::rethrow_exception(failure);
  }
  co_await read_step_metadata(step);
  auto entries = co_await list_folder(step->folder);
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type == engine::FileType::directory) step->items.push_back(entry.name);
  }
  std::ranges::sort(step->items);
  co_return step;
}

namespace {

ItemKind kind_of_handler(const std::string& handler) {
  if (handler.ends_with("StandardCheckpointHandler") ||
      handler.ends_with("PyTreeCheckpointHandler")) {
    return ItemKind::tree;
  }
  return handler.ends_with("JsonCheckpointHandler") ? ItemKind::json : ItemKind::unknown;
}

Error missing_item(const OpenStep& step, const std::string& item) {
  return step_error(ErrorCode::data_loss,
                    "the step's metadata names this item, but its directory is missing; items: " +
                        names_of(step.items),
                    step.folder->path, item, "Restore another step, or name the other items");
}

}  // namespace

std::vector<std::string> missing_items(const OpenStep& step) {
  std::vector<std::string> missing;
  if (!step.metadata) return missing;
  for (const auto& [item, handler] : step.metadata->item_handlers) {
    const bool holds_data = kind_of_handler(handler) != ItemKind::unknown;
    if (holds_data && std::ranges::find(step.items, item) == step.items.end())
      missing.push_back(item);
  }
  return missing;
}

Task<ItemKind> item_kind(OpenStepPtr step, std::string item) {
  if (step->metadata) {
    const auto found = step->metadata->item_handlers.find(item);
    if (found != step->metadata->item_handlers.end()) {
      const ItemKind kind = kind_of_handler(found->second);
      if (kind != ItemKind::unknown) co_return kind;
    }
  }
  // Without a handler that we know, the files tell.
  FolderPtr folder = co_await open_subfolder(step->folder, item);
  const auto tree = co_await find_status(folder, std::string(orbax::kTreeMetadataFile));
  if (tree) co_return ItemKind::tree;
  const auto json = co_await find_status(folder, "metadata");
  co_return json ? ItemKind::json : ItemKind::unknown;
}

namespace {

Task<boost::json::value> read_json(OpenStepPtr step, std::string item) {
  FolderPtr folder = co_await open_subfolder(step->folder, item);
  std::optional<std::string> text = co_await read_file_if_there(folder, "metadata", kJsonBytesMax);
  if (!text && item == "metrics")
    text = co_await read_file_if_there(folder, "metrics", kJsonBytesMax);
  if (!text)
    throw step_error(ErrorCode::not_found, "the item has no JSON document", folder->path, item);
  co_return orbax::parse_json(*text, "JSON item");
}

}  // namespace

Task<Restored::Item> restore_item(OpenStepPtr step, std::string item, args::ItemRestore how) {
  if (std::ranges::find(step->items, item) == step->items.end()) {
    if (std::ranges::count(missing_items(*step), item) > 0) throw missing_item(*step, item);
    throw step_error(ErrorCode::not_found,
                     "the step has no such item; items: " + names_of(step->items),
                     step->folder->path, item);
  }
  ItemKind kind = co_await item_kind(step, item);
  if (std::holds_alternative<args::StandardRestore>(how) && kind == ItemKind::json) {
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
  FolderPtr folder = co_await open_subfolder(step->folder, item);
  TreeReader reader(folder, item);
  co_await reader.open();
  Tree tree = co_await reader.load();
  co_return Restored::Item(std::move(tree));
}

namespace {

/// The item that a restore of a single tree means: the manager's, else Orbax v1's, else the only
/// tree.
Task<std::string> single_item(OpenStepPtr step, std::string item_name) {
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
    if (std::holds_alternative<args::StandardRestore>(args.value)) {
      wanted.emplace_back(std::move(name), args::StandardRestore());
    } else {
      wanted.emplace_back(std::move(name), args::JsonRestore());
    }
  }
  std::vector<std::pair<std::string, Restored::Item>> items;
  for (auto& [name, how] : wanted) {
    Restored::Item item = co_await restore_item(step, name, how);
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
    co_return co_await restore_open_step(step, number, std::move(args), std::move(item_name));
  } catch (...) {
    failure = std::current_exception();
  }
  const bool gone = co_await is_gone(step->folder);
  if (gone)
    throw step_error(ErrorCode::step_deleted,
                     "the step was deleted while it was read: " + message_of(failure), path);
  std::rethrow_exception(failure);
}

Task<boost::json::object> read_metrics(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step(engine, path);
  if (std::ranges::find(step->items, "metrics") == step->items.end())
    co_return boost::json::object();
  boost::json::value value = co_await read_json(step, "metrics");
  if (!value.is_object()) {
    throw step_error(ErrorCode::data_loss, "the metrics are not a JSON object",
                     join_path(path, "metrics"), "metrics");
  }
  co_return std::move(value.as_object());
}

}  // namespace cairn::internal
