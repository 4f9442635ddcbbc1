#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/tree_reader.h>
#include <cairn/manager/read_tree.h>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

Task<Tree> read_item(OpenStepPtr step, std::string item, Selections selection) {
  FolderPtr folder = co_await item_folder(step, item);
  TreeReader reader(folder, item, item_form(*step, item));
  co_await reader.open(std::move(selection));
  co_return co_await reader.load();
}

Task<Tree> read(EnginePtr engine, std::string path, Selections selection) {
  OpenStepPtr step = co_await open_step_or_item(engine, path);
  std::exception_ptr failure;
  try {
    const PathKind kind = co_await find_path_kind(step->folder);
    std::string item;
    if (kind == PathKind::step) {
      item = co_await single_item(step, "default");
    } else if (kind == PathKind::root) {
      throw with_operation(ErrorCode::not_found, "there is neither an item nor a step here", "",
                           path, "Name a step or an item below it");
    }
    co_return co_await read_item(step, std::move(item), std::move(selection));
  } catch (...) {
    failure = std::current_exception();
  }
  failure = co_await explain_failure(step->folder, failure);
  std::rethrow_exception(failure);
}

}  // namespace

Future<Tree> read_tree(std::shared_ptr<engine::Engine> engine, std::string path,
                       ReadOptions options) {
  return start(engine, read(engine, path, std::move(options.selection)), "read tree", path);
}

}  // namespace cairn
