// Opening a step: its metadata, its lock, and which items it has.

#include <cairn/codecs/format_error.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/step_records.h>

#include <algorithm>

namespace cairn::internal {
namespace {

std::string last_component(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// Throws where the path, or the directory that it is in, has the name of a save that never
/// committed: a step's, or its item's.
void refuse_temporary(std::string path) {
  for (int components = 0; components < 2 && !path.empty(); ++components) {
    if (orbax::is_temporary_name(last_component(path))) {
      throw step_error(ErrorCode::incomplete_checkpoint, "this save never committed", path, "",
                       "Restore another step");
    }
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

/// Takes the reader's lock and reads the step's metadata. A damaged file counts as absent, as in
/// Orbax.
Task<void> read_step_metadata(OpenStepPtr step) {
  const std::string name(orbax::kStepMetadataFile);
  LockFile opened = co_await open_lock_file(step->folder, name, engine::OpenMode::read);
  if (opened.error) {
    if (engine::classify(opened.error) == engine::ErrorKind::not_found) co_return;
    raise_open_failure(opened.error, "open", join_path(step->folder->path, name));
  }
  const engine::error_code lock_error = co_await opened.lock->lock(false);
  if (lock_error && engine::classify(lock_error) == engine::ErrorKind::busy) {
    throw step_error(ErrorCode::step_deleted, "the step is being deleted", step->folder->path);
  }
  // Elsewhere than busy (no locks here) reading goes on: a deletion is then noticed afterwards.
  if (!lock_error) step->lock = std::move(opened.lock);
  const std::string text = co_await read_file(step->folder, name, kStepMetadataBytesMax);
  try {
    step->metadata = orbax::decode_step_metadata(text);
  } catch (const FormatError& fault) {
    step->metadata.reset();
    step->metadata_fault = fault.what();
    step->metadata_fault_offset = fault.offset();
  }
}

constexpr std::string_view kTreeHandlers[] = {".StandardCheckpointHandler",
                                              ".PyTreeCheckpointHandler", ".ArrayCheckpointHandler",
                                              ".PyTreeHandler"};
constexpr std::string_view kJsonHandlers[] = {".JsonCheckpointHandler", ".JsonHandler"};

/// As the step's metadata has it; empty where it has none.
std::string handler_of(const OpenStep& step, const std::string& item) {
  if (!step.metadata) return "";
  const auto found = step.metadata->item_handlers.find(item);
  return found == step.metadata->item_handlers.end() ? "" : found->second;
}

/// Takes the lock, reads the metadata and finds the items.
Task<void> find_items(OpenStepPtr step) {
  co_await read_step_metadata(step);
  auto entries = co_await list_folder(step->folder);
  step->direct =
      has_tree_files(entries) || (step->metadata && step->metadata->item_handlers.contains(""));
  if (step->direct) {
    step->items.emplace_back();
    co_return;
  }
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type == engine::FileType::directory) step->items.push_back(entry.name);
  }
  std::ranges::sort(step->items);
}

Task<void> read_step_items(OpenStepPtr step) {
  std::exception_ptr failure;
  try {
    co_await find_items(step);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  failure = co_await explain_failure(step->folder, failure);
  std::rethrow_exception(failure);
}

/// The same for the step at `path`. Returns where the root is not there either.
Task<void> explain_missing(EnginePtr engine, std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) co_return;
  auto [error, handle] =
      co_await engine::Directory::async_open(engine, path.substr(0, slash + 1), kAsTuple);
  if (error) co_return;
  auto root = std::make_shared<Folder>(engine, std::move(handle), path.substr(0, slash));
  const StepRules rules;
  co_await explain_missing_step(root, rules, path.substr(slash + 1));
}

}  // namespace

Error step_error(ErrorCode code, std::string reason, const std::string& path, std::string item,
                 std::string remedy) {
  ErrorContext context;
  context.path = path;
  context.item = std::move(item);
  context.remedy = std::move(remedy);
  return Error(code, std::move(reason), context);
}

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

Task<void> explain_missing_step(FolderPtr root, StepRules rules, std::string name) {
  const std::string path = join_path(root->path, name);
  const auto entries = co_await list_folder(root);
  for (const engine::DirectoryEntry& entry : entries) {
    // With its own name: a save by commit_file.
    if (entry.name == temporary_name(name) || entry.name == name) {
      throw step_error(ErrorCode::incomplete_checkpoint,
                       "a save of this step was begun and never committed", path, "",
                       "Restore another step");
    }
  }
  const std::vector<ListedStep> steps = co_await list_committed_steps(root, rules);
  // The newest are what is looked for, and a line has an end.
  constexpr std::size_t kNamedMax = 10;
  std::vector<std::string> names;
  for (std::size_t i = steps.size() > kNamedMax ? steps.size() - kNamedMax : 0; i < steps.size();
       ++i) {
    names.push_back(std::to_string(steps[i].step));
  }
  throw step_error(ErrorCode::not_found,
                   "there is no such step; the newest are: " + names_of(names), path);
}

std::vector<std::string> missing_items(const OpenStep& step) {
  std::vector<std::string> missing;
  if (!step.metadata || step.direct) return missing;
  for (const auto& [item, handler] : step.metadata->item_handlers) {
    const std::optional<ItemKind> kind = kind_by_handler(handler);
    if (!kind || kind == ItemKind::proto) continue;
    if (std::ranges::find(step.items, item) == step.items.end()) missing.push_back(item);
  }
  return missing;
}

Error missing_item(const OpenStep& step, const std::string& item) {
  return step_error(ErrorCode::data_loss,
                    "the step's metadata names this item, but its directory is missing; items: " +
                        names_of(step.items),
                    step.folder->path, item, "Restore another step, or name the other items");
}

Task<OpenStepPtr> open_step(EnginePtr engine, std::string path) {
  refuse_temporary(path);
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
  co_await read_step_items(step);
  co_return step;
}

Task<OpenStepPtr> open_step_in(FolderPtr folder) {
  auto step = std::make_shared<OpenStep>();
  step->folder = std::move(folder);
  co_await read_step_items(step);
  co_return step;
}

Task<OpenStepPtr> open_step_or_item(EnginePtr engine, std::string path) {
  refuse_temporary(path);
  auto step = std::make_shared<OpenStep>();
  step->folder = co_await open_folder(engine, path);
  co_await read_step_items(step);
  co_return step;
}

Task<void> close_step(OpenStepPtr step) {
  const std::unique_ptr<HeldLock> lock = std::move(step->lock);
  if (lock) co_await lock->unlock();
}

Task<FolderPtr> item_folder(OpenStepPtr step, std::string item) {
  if (item.empty()) co_return step->folder;
  co_return co_await open_subfolder(step->folder, item);
}

ItemForm item_form(const OpenStep& step, const std::string& item) {
  return handler_of(step, item).ends_with("ArrayCheckpointHandler") ? ItemForm::single_array
                                                                    : ItemForm::tree;
}

std::optional<ItemKind> kind_by_handler(std::string_view handler) {
  const auto ends = [handler](std::string_view name) { return handler.ends_with(name); };
  if (std::ranges::any_of(kTreeHandlers, ends)) return ItemKind::tree;
  if (std::ranges::any_of(kJsonHandlers, ends)) return ItemKind::json;
  if (ends(".ProtoCheckpointHandler")) return ItemKind::proto;
  if (ends(".JaxRandomKeyCheckpointHandler")) return ItemKind::jax_random_key;
  if (ends(".NumpyRandomKeyCheckpointHandler")) return ItemKind::random_key;
  return std::nullopt;
}

Task<ItemKind> item_kind(OpenStepPtr step, std::string item) {
  const std::optional<ItemKind> known = kind_by_handler(handler_of(*step, item));
  if (known) co_return *known;
  // Without a handler that we know, the files tell.
  FolderPtr folder = co_await item_folder(step, item);
  co_return co_await kind_by_files(folder);
}

Task<bool> is_gone(FolderPtr folder) {
  const std::string path = folder->path;
  auto [error, again] = co_await engine::Directory::async_open(folder->engine, path, kAsTuple);
  if (error) co_return engine::classify(error) == engine::ErrorKind::not_found;
  auto [stat_error, before] = co_await folder->handle.async_stat(std::string(), kAsTuple);
  auto [stat_error2, now] = co_await again.async_stat(std::string(), kAsTuple);
  co_return !stat_error && !stat_error2 &&
      (before.inode != now.inode || before.device != now.device);
}

Task<std::exception_ptr> explain_failure(FolderPtr folder, std::exception_ptr failure) {
  const bool gone = co_await is_gone(folder);
  if (!gone) co_return failure;
  co_return std::make_exception_ptr(
      step_error(ErrorCode::step_deleted,
                 "it was deleted while it was read: " + message_of(failure), folder->path));
}

}  // namespace cairn::internal
