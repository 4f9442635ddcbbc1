#pragma once
// A file with a flock. flock belongs to the open file, which fork() shares: without care a child
// that outlives its parent (a data loader) would keep the lock, and a lock let go by closing would
// stay with it.

#include <cairn/manager/internal/storage.h>

#include <memory>
#include <string>

namespace cairn::internal {

/// An open file to be locked. In a forked child the descriptor is made to point at /dev/null, so
/// that the child neither holds nor releases the lock. Unlocking waits for a file server: that is
/// the engine's work, and never done under ForkGuard. Thread-safe to make and end.
class HeldLock {
 public:
  /// The descriptor of `file` is in ForkGuard's care; nothing is locked yet.
  explicit HeldLock(FilePtr file);
  /// Unlocks later, where unlock() has not.
  ~HeldLock();
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

  /// flock without waiting for others, but for an unlock() of this process that is under way.
  Task<engine::error_code> lock(bool exclusive);
  /// Returns when the lock is free for every process that shares the file; the file is closed then
  /// or soon.
  Task<void> unlock();
  [[nodiscard]] const FilePtr& file() const noexcept { return file_; }

 private:
  FilePtr file_;  ///< none after unlock()
  bool locked_ = false;
};

struct LockFile {
  LockFile() = default;
  engine::error_code error;
  std::unique_ptr<HeldLock> lock;  ///< not locked yet; none where there is an error
};
/// Opens `name` below `folder` such that no child has been forked between its opening and its being
/// registered: that child would share the lock.
Task<LockFile> open_lock_file(FolderPtr folder, std::string name, engine::OpenMode mode);

}  // namespace cairn::internal
