#include <cairn/manager/internal/root_lock.h>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kLockFileBytesMax = 4096;
/// How often a waiting writer tries again.
constexpr std::chrono::milliseconds kRetryInterval{20};

}  // namespace

Task<std::string> RootLock::acquire(FolderPtr root, engine::Clock::Duration give_up) {
  if (lock_) co_return std::string();
  LockFile opened =
      co_await open_lock_file(root, std::string(kLockFile), engine::OpenMode::create_lock);
  if (opened.error) {
    raise_open_failure(opened.error, "create", join_path(root->path, std::string(kLockFile)));
  }
  const FilePtr file = opened.lock->file();
  engine::Clock& clock = root->engine->clock();
  for (;;) {
    const engine::error_code error = co_await opened.lock->lock(true);
    beat(file);  // waiting for another process has a limit of its own
    if (!error) break;
    const engine::ErrorKind kind = engine::classify(error);
    if (kind == engine::ErrorKind::not_supported || error.value() == ENOLCK) {
      lock_ = std::move(opened.lock);
      co_return "this file system has no locks: make sure that one process at a time writes in " +
          root->path;
    }
    if (kind != engine::ErrorKind::busy) raise_failure(error, "lock", file->path);
    if (clock.steady() >= give_up) {
      std::optional<std::string> holder;
      try {
        holder = co_await read_file_if_there(root, std::string(kLockFile), kLockFileBytesMax);
      } catch (const Error&) {  // NOLINT(bugprone-empty-catch): the root is busy all the same
      }
      ErrorContext context;
      context.operation = "lock the root";
      context.path = file->path;
      context.remedy = "Wait for that writer, or set lock_timeout";
      throw Error(ErrorCode::busy,
                  "another process, or another manager of this one, is writing here: " +
                      (holder ? describe_owner(*holder) : std::string("its record cannot be read")),
                  context);
    }
    const engine::Clock::Duration next = clock.steady() + kRetryInterval;
    auto [waited] = co_await engine::async_wait_until(clock, next, kAsTuple);
    if (waited) raise_failure(waited, "wait for the lock", file->path);
  }
  lock_ = std::move(opened.lock);
  // It is the flock that keeps others out. On a full disk, where the record has no room, deleting
  // steps is what helps.
  try {
    co_await write_owner(file);
  } catch (const Error& error) {
    co_return std::string("others will not be told who writes here: ") + error.what();
  }
  co_return std::string();
}

Task<void> RootLock::write_owner(FilePtr file) {
  auto [truncated] = co_await file->file.async_truncate(0, kAsTuple);
  if (truncated) raise_failure(truncated, "write owner", file->path);
  co_await write_at(file, 0, std::as_bytes(std::span(owner_)));
}

Task<void> RootLock::release() {
  const std::unique_ptr<HeldLock> lock = std::move(lock_);
  if (lock) co_await lock->unlock();
}

}  // namespace cairn::internal
