#include <cairn/engine/internal/fork.h>

#include <pthread.h>

namespace cairn::engine::internal {
namespace {

std::atomic<std::uint64_t> generation{0};

// getpid() at each call would be a system call; the handler costs nothing where nobody forks.
bool watch_forks() noexcept {
  return ::pthread_atfork(nullptr, nullptr,
                          [] { generation.fetch_add(1, std::memory_order_relaxed); }) == 0;
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  static const bool watching = watch_forks();
  static_cast<void>(watching);
  return generation.load(std::memory_order_relaxed);
}

}  // namespace cairn::engine::internal
