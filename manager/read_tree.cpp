#include <cairn/manager/internal/safetensors_select.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/stored_source.h>
#include <cairn/manager/read_tree.h>

#include <algorithm>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

enum class Elements : std::uint8_t {
  read,   ///< at once
  opened  ///< when somebody asks
};

/// The item that is meant; the empty name where the directory is one itself.
Task<std::string> pick_item(OpenStepPtr step, PathKind kind, std::string asked) {
  const std::string& path = step->folder->path;
  if (!asked.empty()) {
    if (std::ranges::find(step->items, asked) != step->items.end()) co_return asked;
    throw step_error(ErrorCode::not_found,
                     "there is no item of this name; items: " + names_of(step->items), path, asked);
  }
  switch (kind) {
    case PathKind::root:
      throw with_operation(ErrorCode::not_found, "there is neither an item nor a step here", "",
                           path, "Name a step or an item below it");
    case PathKind::step:
      co_return co_await single_item(step, "default");
    case PathKind::item:
    case PathKind::safetensors:
      break;
  }
  co_return "";
}

Task<Tree> read_item(OpenStepPtr step, PathKind kind, ReadOptions options, Elements how) {
  const std::string name = co_await pick_item(step, kind, options.item);
  FolderPtr folder = co_await item_folder(step, name);
  auto item = std::make_shared<OpenItem>(step, folder, name);
  co_await item->reader.open(std::move(options.selection));
  if (how == Elements::opened) co_return co_await open_leaves(item);
  co_return co_await item->reader.load();
}

Task<Tree> read_checkpoint(EnginePtr engine, std::string path, PathKind kind, ReadOptions options,
                           Elements how) {
  OpenStepPtr step = co_await open_step_or_item(engine, path);
  std::exception_ptr failure;
  try {
    Tree tree = co_await read_item(step, kind, std::move(options), how);
    if (how == Elements::read) co_await close_step(step);
    co_return tree;
  } catch (...) {
    failure = std::current_exception();
  }
  failure = co_await explain_failure(step->folder, failure);
  std::rethrow_exception(failure);
}

Task<Tree> read_safetensors_tree(EnginePtr engine, std::string path, ReadOptions options,
                                 Elements how) {
  if (!options.item.empty()) {
    throw with_operation(ErrorCode::not_found, "safetensors files have no items", "", path);
  }
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_files(engine, path, options.follow_links);
  WantedTensors wanted = select_tensors(inputs, options.selection);
  if (how == Elements::opened) co_return tensor_leaves(wanted);
  co_return co_await read_wanted(std::move(wanted));
}

Task<Tree> read(EnginePtr engine, std::string path, ReadOptions options, Elements how) {
  const PathKind kind = co_await kind_at(engine, path);
  if (kind == PathKind::safetensors)
    co_return co_await read_safetensors_tree(engine, path, std::move(options), how);
  co_return co_await read_checkpoint(engine, path, kind, std::move(options), how);
}

}  // namespace

Future<Tree> read_tree(std::shared_ptr<engine::Engine> engine, std::string path,
                       ReadOptions options) {
  return start(engine, read(engine, path, std::move(options), Elements::read), "read tree", path);
}

Future<Tree> open_tree(std::shared_ptr<engine::Engine> engine, std::string path,
                       ReadOptions options) {
  return start(engine, read(engine, path, std::move(options), Elements::opened), "open tree", path);
}

}  // namespace cairn
