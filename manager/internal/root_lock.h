#pragma once
// One writer per root: an flock on ROOT/.cairn.lock, held while saves or deletions are pending. The
// file holds the writer's owner record, so that others can say who it is. Strand only.

#include <cairn/engine/clock.h>
#include <cairn/manager/internal/held_lock.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/logger.h>

#include <chrono>
#include <memory>
#include <string>

namespace cairn::internal {

inline constexpr std::string_view kLockFile = ".cairn.lock";

class RootLock {
 public:
  RootLock(std::string owner, std::chrono::milliseconds timeout)
      : owner_(std::move(owner)), timeout_(timeout) {}

  /// Takes the lock unless it is held already; one call at a time. Throws busy, naming host and
  /// process, when another still holds it at `give_up`, a time of the engine's clock. Returns a
  /// warning where the file system has no locks, or no room for the owner record; empty otherwise.
  Task<std::string> acquire(FolderPtr root, engine::Clock::Duration give_up);
  /// How long to wait for another process; 0: not at all.
  [[nodiscard]] std::chrono::milliseconds timeout() const noexcept { return timeout_; }
  /// Returns when it is free for others.
  Task<void> release();
  [[nodiscard]] bool held() const noexcept { return lock_ != nullptr; }

 private:
  Task<void> write_owner(FilePtr file);
  std::string owner_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<HeldLock> lock_;
};

}  // namespace cairn::internal
