#include <cairn/manager/internal/fork_guard.h>
#include <cairn/manager/internal/held_lock.h>
#include <sys/file.h>

namespace cairn::internal {

HeldLock::HeldLock(FilePtr file) : file_(std::move(file)) {
  ForkGuard().add(file_->file.fd());
}

HeldLock::~HeldLock() {
  ForkGuard forks;
  forks.remove(file_->file.fd());
  ::flock(file_->file.fd(), LOCK_UN);
}

}  // namespace cairn::internal
