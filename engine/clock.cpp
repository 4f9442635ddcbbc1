#include <cairn/engine/clock.h>
#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/thread.h>
#include <cairn/engine/internal/timer_list.h>

#include <cassert>
#include <condition_variable>

namespace cairn::engine {
namespace {

// Waits of the timer thread are cut to this: adding a far deadline to "now" must not overflow.
constexpr std::chrono::hours kWaitMax{1};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t now_ns() const override {
    return std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  [[nodiscard]] Duration steady() const override {
    return std::chrono::duration_cast<Duration>(
        std::chrono::steady_clock::now().time_since_epoch());
  }

  TimerId call_at(Duration deadline, std::function<void()> fn) override {
    State& state = state_.get();
    const std::lock_guard lock(state.mutex);
    if (!state.running) {
      internal::start_thread("cairn-clock", [this, &state] { run(state); }).detach();
      state.running = true;
    }
    const TimerId id = state.timers.add(deadline, std::move(fn));
    state.changed.notify_one();
    return id;
  }

  bool cancel(TimerId timer) override {
    State& state = state_.get();
    std::optional<std::function<void()>> removed;
    const std::lock_guard lock(state.mutex);
    removed = state.timers.remove(timer);
    return removed.has_value();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    internal::TimerList timers;
    bool running = false;
  };

  // For ever: the state is never destroyed, so the thread may run until the process is gone.
  void run(State& state) {
    std::unique_lock lock(state.mutex);
    while (true) {
      if (state.timers.empty()) {
        state.changed.wait(lock);
        continue;
      }
      const Duration left = state.timers.first_deadline() - steady();
      if (left > Duration::zero()) {
        state.changed.wait_for(lock, std::min<Duration>(left, kWaitMax));
        continue;
      }
      auto fn = state.timers.take_first();
      lock.unlock();
      fn();
      fn = nullptr;
      lock.lock();
    }
  }

  internal::PerProcess<State> state_;
};

}  // namespace

std::shared_ptr<Clock> system_clock() {
  // Never destroyed: engines may still use it while the process exits.
  static auto* const clock = new std::shared_ptr<Clock>(std::make_shared<SystemClock>());
  return *clock;
}

struct ManualClock::State {
  mutable std::mutex mutex;
  std::int64_t now_ns = 0;
  Duration steady{0};
  internal::TimerList timers;
};

ManualClock::ManualClock(std::int64_t now_ns) : state_(std::make_unique<State>()) {
  state_->now_ns = now_ns;
}

ManualClock::~ManualClock() = default;

std::int64_t ManualClock::now_ns() const {
  const std::lock_guard lock(state_->mutex);
  return state_->now_ns;
}

Clock::Duration ManualClock::steady() const {
  const std::lock_guard lock(state_->mutex);
  return state_->steady;
}

Clock::TimerId ManualClock::call_at(Duration deadline, std::function<void()> fn) {
  const std::lock_guard lock(state_->mutex);
  return state_->timers.add(deadline, std::move(fn));
}

bool ManualClock::cancel(TimerId timer) {
  std::optional<std::function<void()>> removed;
  const std::lock_guard lock(state_->mutex);
  removed = state_->timers.remove(timer);
  return removed.has_value();
}

std::size_t ManualClock::advance(Duration by) {
  assert(by >= Duration::zero());
  std::size_t called = 0;
  std::unique_lock lock(state_->mutex);
  const Duration target = state_->steady + by;
  const auto move_to = [this](Duration time) {
    if (time <= state_->steady) return;
    state_->now_ns += (time - state_->steady).count();
    state_->steady = time;
  };
  while (!state_->timers.empty() && state_->timers.first_deadline() <= target) {
    // Each function sees the time it asked for, not the end of the jump.
    move_to(state_->timers.first_deadline());
    auto fn = state_->timers.take_first();
    lock.unlock();
    fn();
    fn = nullptr;
    lock.lock();
    ++called;
  }
  move_to(target);
  return called;
}

std::size_t ManualClock::pending() const {
  const std::lock_guard lock(state_->mutex);
  return state_->timers.size();
}

namespace impl {

void ClockWait::start(Clock::Duration deadline, Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
  // The timer may fire at once; it then waits for this lock, in finish().
  timer_ = clock_.call_at(deadline, [self = shared_from_this()] { self->finish({}); });
}

void ClockWait::cancel() noexcept {
  Clock::TimerId timer = 0;
  {
    const std::lock_guard lock(mutex_);
    timer = timer_;
  }
  clock_.cancel(timer);
  finish(boost::asio::error::operation_aborted);
}

void ClockWait::finish(boost::system::error_code error) noexcept {
  Handler handler;
  {
    const std::lock_guard lock(mutex_);
    handler = std::move(handler_);
  }
  if (handler) handler->complete(error);
}

}  // namespace impl
}  // namespace cairn::engine
