#include <cairn/manager/impl/shared_state.h>
#include <cairn/manager/internal/fork_guard.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <set>

namespace cairn::internal {
namespace {

std::atomic<std::uint64_t> generation{0};

struct Registry {
  std::mutex mutex;
  std::set<int> descriptors;
  std::uint64_t forks = 0;  ///< of this process
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
  ++registry().forks;
  registry().mutex.unlock();
}

/// Only calls that are safe between fork and exec.
void after_fork_in_child() {
  generation.fetch_add(1, std::memory_order_relaxed);
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

ForkGuard::ForkGuard() {
  install_fork_handlers();
  lock_ = std::unique_lock(registry().mutex);
}

std::uint64_t ForkGuard::forks() const {
  return registry().forks;
}

void ForkGuard::add(int descriptor) {
  registry().descriptors.insert(descriptor);
}

void ForkGuard::remove(int descriptor) {
  registry().descriptors.erase(descriptor);
}

}  // namespace cairn::internal

namespace cairn::impl {

std::uint64_t fork_generation() noexcept {
  internal::install_fork_handlers();
  return internal::generation.load(std::memory_order_relaxed);
}

}  // namespace cairn::impl
