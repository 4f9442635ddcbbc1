#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/thread.h>

#include <pthread.h>
#include <sched.h>

#include <cassert>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

namespace cairn::engine::internal {
namespace {

constexpr std::size_t kThreadNameMax = 15;  // TASK_COMM_LEN - 1

thread_local bool engine_thread = false;
/// What the outermost BatchScheduling of this thread has changed; none: there is none.
thread_local std::optional<int> policy_outside;

bool set_policy(int policy) noexcept {
  const sched_param priority{};
  return ::sched_setscheduler(0, policy, &priority) == 0;
}

struct Reapers {
  std::mutex mutex;
  std::condition_variable idle;
  std::size_t running = 0;
};
PerProcess<Reapers> reapers;

}  // namespace

SignalBlock::SignalBlock() noexcept {
  ::sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalBlock::~SignalBlock() {
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int scheduling_policy() noexcept {
  return policy_outside ? *policy_outside : ::sched_getscheduler(0);
}

BatchScheduling::BatchScheduling(int elsewhere) noexcept {
  if (policy_outside || elsewhere != SCHED_OTHER) return;
  const int now = ::sched_getscheduler(0);
  changed_ = (now == SCHED_OTHER || now == SCHED_BATCH) && set_policy(SCHED_BATCH);
  if (changed_) policy_outside = SCHED_OTHER;
}

BatchScheduling::~BatchScheduling() {
  if (!changed_) return;
  policy_outside.reset();
  set_policy(SCHED_OTHER);
}

bool on_engine_thread() noexcept {
  return engine_thread;
}

EngineThreadScope::EngineThreadScope() noexcept : before_(std::exchange(engine_thread, true)) {}
EngineThreadScope::~EngineThreadScope() {
  engine_thread = before_;
}

std::thread start_thread(const char* name, std::function<void()> body) {
  assert(std::strlen(name) <= kThreadNameMax);
  const SignalBlock block;
  // noexcept: an exception that leaves a thread ends the process here, with its origin on the
  // stack.
  return std::thread([name, policy = policy_outside, body = std::move(body)]() mutable noexcept {
    ::pthread_setname_np(::pthread_self(), name);
    if (policy) set_policy(*policy);
    const EngineThreadScope scope;
    body();
    body = nullptr;
  });
}

void run_on_reaper(std::function<void()> body) {
  Reapers& state = reapers.get();
  {
    const std::lock_guard lock(state.mutex);
    ++state.running;
  }
  start_thread("cairn-reaper", [&state, body = std::move(body)]() mutable {
    body();
    body = nullptr;
    const std::lock_guard lock(state.mutex);
    if (--state.running == 0) state.idle.notify_all();
  }).detach();
}

void wait_for_reapers() {
  Reapers& state = reapers.get();
  std::unique_lock lock(state.mutex);
  state.idle.wait(lock, [&state] { return state.running == 0; });
}

}  // namespace cairn::engine::internal
