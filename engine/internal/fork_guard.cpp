#include <cairn/engine/internal/fork_guard.h>
#include <pthread.h>

#include <atomic>

namespace cairn::engine::internal {
namespace {

// Counts the forks between the first process that used the engine and this one.
std::atomic<std::uint32_t> generation{0};

void count_fork() noexcept {
  generation.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

ForkGuard::ForkGuard() {
  static const int registered = pthread_atfork(nullptr, nullptr, &count_fork);
  static_cast<void>(
      registered);  // fails only without memory; then a child is simply not recognised
  generation_ = generation.load(std::memory_order_relaxed);
}

bool ForkGuard::in_child() const noexcept {
  return generation.load(std::memory_order_relaxed) != generation_;
}

}  // namespace cairn::engine::internal
