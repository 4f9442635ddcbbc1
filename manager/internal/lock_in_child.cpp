#include <cairn/manager/internal/lock_in_child.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace cairn::internal {
namespace {

constexpr int kFree = 0;
// Descriptors plus one, so that zeroed memory is an empty table. Atomics, because the handler below
// finds them as another thread left them, and must not wait for a mutex.
std::array<std::atomic<int>, kGuardedLocksMax> slots{};
static_assert(std::atomic<int>::is_always_lock_free);

// Runs in the child, where only async-signal-safe calls are allowed.
void let_go_in_child() {
  int null = -1;
  for (std::atomic<int>& slot : slots) {
    const int held = slot.load(std::memory_order_relaxed);
    if (held == kFree) continue;
    if (null < 0) null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    // Not close(): the child's copy of the owner will close this number, and may do so when
    // something else has it.
    if (null >= 0) ::dup3(null, held - 1, O_CLOEXEC);
  }
  if (null >= 0) ::close(null);
}

}  // namespace

LockInChild::LockInChild(int fd) noexcept : slot_(kGuardedLocksMax) {
  static const bool watching = ::pthread_atfork(nullptr, nullptr, let_go_in_child) == 0;
  static_cast<void>(watching);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    int expected = kFree;
    if (slots[i].compare_exchange_strong(expected, fd + 1)) {
      slot_ = i;
      return;
    }
  }
}

LockInChild::~LockInChild() {
  if (slot_ < slots.size()) slots[slot_].store(kFree);
}

}  // namespace cairn::internal
