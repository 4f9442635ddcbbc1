#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/step_hold.h>
#include <cairn/manager/internal/step_reader.h>

namespace cairn::internal {
namespace {

/// A step has its name, or marker, before its writer's last sync has returned, and is committed
/// only then. So it is this sync that tells, whether or not the writer still lives.
Task<void> sync_commit(FolderPtr where) {
  auto [error] = co_await where->handle.async_sync(kAsTuple);
  if (!error) co_return;
  switch (engine::classify(error)) {
    case engine::ErrorKind::not_supported:
    case engine::ErrorKind::invalid_argument:
    case engine::ErrorKind::permission_denied:
      co_return;  // this file system syncs no directories, or is mounted for reading alone
    default:
      raise_failure(error, "sync directory", where->path);
  }
}

/// False where the step is being deleted.
Task<bool> lock_step(StepHoldPtr hold) {
  const std::string name(orbax::kStepMetadataFile);
  LockFile opened = co_await open_lock_file(hold->folder, name, engine::OpenMode::read);
  if (opened.error) {
    if (engine::classify(opened.error) == engine::ErrorKind::not_found) co_return true;
    raise_open_failure(opened.error, "open", join_path(hold->folder->path, name));
  }
  const engine::error_code failed = co_await opened.lock->lock(false);
  if (failed == asio::error::operation_aborted) raise_failure(failed, "lock", hold->folder->path);
  if (failed && engine::classify(failed) == engine::ErrorKind::busy) co_return false;
  // Any other failure: there are no locks here.
  if (!failed) hold->lock = std::move(opened.lock);
  co_return true;
}

}  // namespace

Task<StepHoldPtr> hold_step(FolderPtr root, StepRules rules, ListedStep listed) {
  FolderPtr folder;
  std::exception_ptr failure;
  try {
    folder = co_await open_subfolder(root, listed.name);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && code_of(failure) == ErrorCode::not_found) co_return nullptr;
  if (failure) std::rethrow_exception(failure);
  const auto hold = std::make_shared<StepHold>(listed.step, folder);
  bool locked = false;
  try {
    locked = co_await lock_step(hold);
    FolderPtr commits = rules.atomicity == Atomicity::rename ? root : folder;
    if (locked) co_await sync_commit(commits);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure && !locked) co_return nullptr;
  // Its writer may have taken the marker back before it was locked.
  bool committed = true;
  if (!failure) committed = co_await is_committed(root, rules, listed.name);
  if (!committed) co_return nullptr;
  // It may have been renamed before it was locked; and then nothing in it says anything.
  const bool gone = co_await is_gone(folder);
  if (gone) co_return nullptr;
  if (failure) std::rethrow_exception(failure);
  co_return hold;
}

}  // namespace cairn::internal
