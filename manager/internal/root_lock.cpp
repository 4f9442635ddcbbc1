#include <cairn/engine/clock.h>
#include <cairn/manager/internal/root_lock.h>
#include <sys/file.h>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kLockFileBytesMax = 4096;
/// How often a waiting writer tries again.
constexpr std::chrono::milliseconds kRetryInterval{20};

}  // namespace

Task<std::string> RootLock::acquire(FolderPtr root) {
  if (file_) co_return std::string();
  FilePtr file = co_await open_file(root, std::string(kLockFile), engine::OpenMode::create_lock, engine::DirectIo::off);
  engine::Clock& clock = root->engine->clock();
  const engine::Clock::Duration give_up = clock.steady() + timeout_;
  for (;;) {
    auto [error] = co_await file->file.async_lock(true, kAsTuple);
    if (!error) break;
    const engine::ErrorKind kind = engine::classify(error);
    if (kind == engine::ErrorKind::not_supported || error.value() == ENOLCK) {
      keep(file);
      co_return "this file system has no locks: make sure that one process at a time writes in " + root->path;
    }
    if (kind != engine::ErrorKind::busy) throw system_failure(error, "lock", file->path);
    if (clock.steady() >= give_up) {
      std::string holder = co_await read_file(root, std::string(kLockFile), kLockFileBytesMax);
      ErrorContext context;
      context.operation = "lock the root";
      context.path = file->path;
      context.remedy = "Wait for that process, or set lock_timeout";
      throw Error(ErrorCode::busy, "another process is writing here: " + holder, context);
    }
    const engine::Clock::Duration next = clock.steady() + kRetryInterval;
    auto [waited] = co_await engine::async_wait_until(clock, next, kAsTuple);
    if (waited) throw system_failure(waited, "wait for the lock", file->path);
  }
  auto [truncated] = co_await file->file.async_truncate(0, kAsTuple);
  if (truncated) throw system_failure(truncated, "write owner", file->path);
  co_await write_at(file, 0, std::as_bytes(std::span(owner_)));
  keep(file);
  co_return std::string();
}

void RootLock::keep(FilePtr file) {
  file_ = std::move(file);
  in_child_.emplace(file_->file.fd());
}

void RootLock::release() noexcept {
  if (!file_) return;
  // Not by closing alone: a process that is being forked at this moment may share the file.
  ::flock(file_->file.fd(), LOCK_UN);
  in_child_.reset();
  file_.reset();
}

}  // namespace cairn::internal
