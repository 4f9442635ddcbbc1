#pragma once
// Time as the engine sees it. Everything that waits or stamps takes its time from a Clock, so that
// a test decides when a deadline passes and no test waits for real time.

#include <cairn/engine/impl/completion.h>
#include <cairn/export.h>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace cairn::engine {

/// A wall clock, a steady clock and timers. All members are thread-safe.
class CAIRN_EXPORT Clock {
 public:
  using Duration = std::chrono::nanoseconds;
  /// Names a timer; 0 is never used.
  using TimerId = std::uint64_t;

  virtual ~Clock() = default;

  /// Nanoseconds since the Unix epoch. May jump; use it for stamps only.
  [[nodiscard]] virtual std::int64_t now_ns() const = 0;
  /// Time since an arbitrary point; never goes back. Deadlines and durations use it.
  [[nodiscard]] virtual Duration steady() const = 0;
  /// Calls `fn` once when steady() >= `deadline`, on a thread of the clock's. `fn` must not throw
  /// or block. A deadline in the past fires at once (still not inside this call).
  virtual TimerId call_at(Duration deadline, std::function<void()> fn) = 0;
  /// True: the timer existed and its function will not be called. False: it has been or is being
  /// called.
  virtual bool cancel(TimerId timer) = 0;
};

/// The machine's own clock, shared by the process. Its timer thread starts with the first timer and
/// is never joined; a forked child gets a new one, without its parent's timers.
[[nodiscard]] CAIRN_EXPORT std::shared_ptr<Clock> system_clock();

/// A clock that stands still until it is told to move. For tests and simulation.
class CAIRN_EXPORT ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t now_ns = 1'700'000'000'000'000'000);
  ~ManualClock() override;

  [[nodiscard]] std::int64_t now_ns() const override;
  [[nodiscard]] Duration steady() const override;
  TimerId call_at(Duration deadline, std::function<void()> fn) override;
  bool cancel(TimerId timer) override;

  /// Moves both clocks forward and calls, on the calling thread and in order of their deadlines,
  /// the functions of the timers passed. Returns how many were called.
  std::size_t advance(Duration by);
  /// Timers that wait.
  [[nodiscard]] std::size_t pending() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Completes with void(error_code) when `clock.steady()` reaches `deadline`; cancellation ends it
/// with operation_aborted. `clock` must outlive the wait. A handler without an executor runs on
/// Asio's own thread pool.
template <class Token>
auto async_wait_until(Clock& clock, Clock::Duration deadline, Token&& token);

namespace impl {

/// One wait: completed by the timer or by cancellation, whichever comes first.
class CAIRN_EXPORT ClockWait : public std::enable_shared_from_this<ClockWait> {
 public:
  using Handler = std::unique_ptr<Completion<boost::system::error_code>>;
  explicit ClockWait(Clock& clock) noexcept : clock_(clock) {}
  void start(Clock::Duration deadline, Handler handler);
  void cancel() noexcept;

 private:
  void finish(boost::system::error_code error) noexcept;

  Clock& clock_;
  std::mutex mutex_;
  Handler handler_;
  Clock::TimerId timer_ = 0;
};

class InitiateClockWait {
 public:
  explicit InitiateClockWait(Clock& clock) noexcept : clock_(&clock) {}

  template <class Handler>
  void operator()(Handler&& handler, Clock::Duration deadline) const {
    const auto wait = std::make_shared<ClockWait>(*clock_);
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([wait](boost::asio::cancellation_type) { wait->cancel(); });
    }
    wait->start(deadline,
                make_completion<boost::system::error_code>(std::forward<Handler>(handler)));
  }

 private:
  Clock* clock_;
};

}  // namespace impl

template <class Token>
auto async_wait_until(Clock& clock, Clock::Duration deadline, Token&& token) {
  return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
      impl::InitiateClockWait(clock), token, deadline);
}

}  // namespace cairn::engine
