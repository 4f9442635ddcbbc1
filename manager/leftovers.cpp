#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/begun_step.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/step_name.h>

#include <algorithm>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

/// Whom the owner record names; empty where there is none, as in directories of Orbax.
Task<std::string> find_writer(FolderPtr folder) {
  const std::optional<std::string> record =
      co_await read_file_if_there(folder, std::string(kOwnerFile), kOwnerFileBytesMax);
  if (!record) co_return "";
  co_return describe_owner(*record);
}

/// False where it is gone: committed, or removed, since it was listed.
Task<bool> look_at(FolderPtr root, Leftover* leftover) {
  const std::optional<engine::FileStatus> status = co_await find_status(root, leftover->name);
  if (!status) co_return false;
  leftover->modified_ns = status->modified_ns;
  std::exception_ptr failure;
  try {
    FolderPtr folder = co_await open_subfolder(root, leftover->name);
    leftover->writer = co_await find_writer(folder);
  } catch (...) {
    failure = std::current_exception();
  }
  // That it is there is known; who made it need not be.
  if (!failure || code_of(failure) == ErrorCode::permission_denied) co_return true;
  if (code_of(failure) == ErrorCode::not_found) co_return false;
  std::rethrow_exception(failure);
}

Task<std::vector<Leftover>> find_leftovers(EnginePtr engine, std::string root_path) {
  FolderPtr root = co_await open_folder(engine, root_path);
  const std::vector<engine::DirectoryEntry> entries = co_await list_folder(root);
  std::vector<Leftover> leftovers;
  const StepRules rules(any_standard_name_format(), Atomicity::rename);
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type != engine::FileType::directory) continue;
    Leftover leftover;
    leftover.name = entry.name;
    if (is_leftover_name(rules, entry.name)) {
      leftover.step = rules.names->parse_temporary(entry.name).value();
    } else {
      const std::optional<Step> step = rules.names->parse(entry.name);
      if (!step) continue;
      // Of a save by commit_file. What is empty may be anybody's.
      const std::optional<std::string> evidence = co_await find_begun_step(root, entry.name);
      if (!evidence || evidence->empty()) continue;
      leftover.step = *step;
    }
    leftover.deletion = is_trash_name(rules, entry.name);
    if (co_await look_at(root, &leftover)) leftovers.push_back(std::move(leftover));
  }
  std::ranges::sort(leftovers, {}, &Leftover::name);
  co_return leftovers;
}

}  // namespace

Future<std::vector<Leftover>> list_leftovers(std::shared_ptr<engine::Engine> engine,
                                             std::string root) {
  return start(engine, find_leftovers(engine, root), "list leftovers", root);
}

}  // namespace cairn
