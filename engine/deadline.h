#pragma once
// What happens when a file system hangs: a watchdog notices, and the quarantine keeps what the
// kernel still owns. On expiry the owner of a task completes its future with timed_out, cancels the
// task and quarantines it; the task runs on, waiting for its operations, until the kernel answers.

#include <cairn/engine/clock.h>
#include <cairn/export.h>
#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace cairn::engine {

class Engine;

/// The last sign of life of several tasks that hang together: where one moves on, none counts as
/// hung. Thread-safe.
class CAIRN_EXPORT Heartbeat {
 public:
  explicit Heartbeat(std::shared_ptr<Clock> clock)
      : clock_(std::move(clock)), last_(clock_->steady().count()) {}
  /// A relaxed store, fit for every operation.
  void beat() noexcept { last_.store(clock_->steady().count(), std::memory_order_relaxed); }
  [[nodiscard]] Clock::Duration last() const noexcept {
    return Clock::Duration(last_.load(std::memory_order_relaxed));
  }

 private:
  std::shared_ptr<Clock> clock_;
  std::atomic<Clock::Duration::rep> last_;
};

/// Calls back when a task makes no progress for some time, or takes too long altogether.
/// Thread-safe.
class CAIRN_EXPORT Watchdog {
 public:
  enum class Reason : std::uint8_t { no_progress, total };
  /// Time spans; 0 = no such limit.
  struct Limits {
    Clock::Duration no_progress{0};
    Clock::Duration total{0};
  };

  /// Starts at once. `on_expired` is called at most once, posted to `executor`; after stop() on
  /// that executor (a strand) it is not called any more. It must not hold the watchdog's owner
  /// alive. Beats of `heartbeat` (may be null) count as progress too. `executor` is not kept from
  /// running dry: its context outlives the watchdog, or stop() comes first.
  Watchdog(std::shared_ptr<Clock> clock, boost::asio::any_io_executor executor, Limits limits,
           std::function<void(Reason)> on_expired,
           std::shared_ptr<const Heartbeat> heartbeat = nullptr);
  /// Likewise on `engine`'s clock and strand, without keeping it: it may be released meanwhile, and
  /// then nothing is called.
  Watchdog(const std::shared_ptr<Engine>& engine, Limits limits,
           std::function<void(Reason)> on_expired,
           std::shared_ptr<const Heartbeat> heartbeat = nullptr);
  /// stop()
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// The task has moved on; a relaxed store, fit for every chunk.
  void progress() noexcept;
  void stop() noexcept;

 private:
  struct State;
  explicit Watchdog(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

class Quarantine;

/// One task in quarantine. Move-only, thread-safe in that different entries may end on any thread.
class CAIRN_EXPORT QuarantineEntry {
 public:
  QuarantineEntry() noexcept = default;
  QuarantineEntry(QuarantineEntry&& other) noexcept;
  QuarantineEntry& operator=(QuarantineEntry&& other) noexcept;
  ~QuarantineEntry();

  /// The task has ended: forgets the entry and lets go of what it held.
  void release() noexcept;
  explicit operator bool() const noexcept { return quarantine_ != nullptr; }

 private:
  friend class Quarantine;
  QuarantineEntry(std::shared_ptr<Quarantine> quarantine, std::uint64_t id) noexcept;
  std::shared_ptr<Quarantine> quarantine_;
  std::uint64_t id_ = 0;
};

/// The tasks whose deadline has passed while the kernel still owns their buffers and descriptors.
/// Thread-safe.
class CAIRN_EXPORT Quarantine : public std::enable_shared_from_this<Quarantine> {
 public:
  struct Totals {
    /// Of all entries there are now.
    std::uint64_t tasks = 0;
    /// What they were added with.
    std::uint64_t operations = 0;
    /// What they were added with, bytes.
    std::uint64_t bytes = 0;
  };

  Quarantine();
  ~Quarantine();
  Quarantine(const Quarantine&) = delete;
  Quarantine& operator=(const Quarantine&) = delete;

  /// Keeps `held` (may be null) until the entry is released. The counts are what stats() shows.
  [[nodiscard]] QuarantineEntry add(std::shared_ptr<void> held, std::uint64_t operations,
                                    std::uint64_t bytes);
  /// The sums over what is in quarantine now.
  [[nodiscard]] Totals totals() const;

 private:
  friend class QuarantineEntry;
  void remove(std::uint64_t id) noexcept;

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cairn::engine
