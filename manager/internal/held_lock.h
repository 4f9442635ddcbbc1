#pragma once
// A file whose flock is held. flock belongs to the open file, which fork() shares: without care a
// child that outlives its parent (a data loader) would keep the lock, and a lock let go by closing
// would stay with it.

#include <cairn/manager/internal/storage.h>

#include <memory>

namespace cairn::internal {

/// Unlocks on destruction, for every process that shares the file. In a forked child the descriptor
/// is made to point at /dev/null, so that the child neither holds nor releases the lock.
/// Thread-safe to make and end.
class HeldLock {
 public:
  /// `file` is locked already.
  explicit HeldLock(FilePtr file);
  ~HeldLock();
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

 private:
  FilePtr file_;
};

}  // namespace cairn::internal
