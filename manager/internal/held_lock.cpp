#include <cairn/manager/internal/held_lock.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <mutex>
#include <set>

namespace cairn::internal {
namespace {

/// Descriptors of the locks that this process holds.
struct Registry {
  std::mutex mutex;
  std::set<int> descriptors;
};

Registry& registry() {
  // Never destroyed: fork handlers cannot be taken back.
  static auto* const instance = new Registry();
  return *instance;
}

void before_fork() {
  registry().mutex.lock();
}
void after_fork_in_parent() {
  registry().mutex.unlock();
}

/// Only calls that are safe between fork and exec.
void after_fork_in_child() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    for (const int descriptor : registry().descriptors) ::dup3(null, descriptor, O_CLOEXEC);
    ::close(null);
  }
  registry().mutex.unlock();
}

void install_fork_handlers() {
  static const int installed =
      ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  static_cast<void>(installed);
}

}  // namespace

HeldLock::HeldLock(FilePtr file) : file_(std::move(file)) {
  install_fork_handlers();
  const std::lock_guard lock(registry().mutex);
  registry().descriptors.insert(file_->file.fd());
}

HeldLock::~HeldLock() {
  const std::lock_guard lock(registry().mutex);
  registry().descriptors.erase(file_->file.fd());
  ::flock(file_->file.fd(), LOCK_UN);
}

}  // namespace cairn::internal
