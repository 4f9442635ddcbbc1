#include <cairn/engine/deadline.h>
#include <cairn/engine/engine.h>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace cairn::engine {
namespace asio = boost::asio;
namespace {

// A deadline that cannot be represented is one that never comes.
Clock::Duration add_saturating(Clock::Duration time, Clock::Duration span) noexcept {
  return span > Clock::Duration::max() - time ? Clock::Duration::max() : time + span;
}

}  // namespace

// Shared with the timer, which may be firing while the watchdog goes.
struct Watchdog::State : std::enable_shared_from_this<Watchdog::State> {
  State(std::shared_ptr<Clock> c, asio::any_io_executor e, Limits l, std::function<void(Reason)> fn,
        std::shared_ptr<const Heartbeat> h)
      : clock(std::move(c)),
        executor(std::move(e)),
        limits(l),
        on_expired(std::move(fn)),
        heartbeat(std::move(h)),
        started(clock->steady()),
        last_progress(started.count()) {}

  State(const std::shared_ptr<Engine>& owner, Limits l, std::function<void(Reason)> fn,
        std::shared_ptr<const Heartbeat> h)
      : State(owner->shared_clock(), owner->executor(), l, std::move(fn), std::move(h)) {
    engine = owner;
    of_engine = true;
  }

  struct Due {
    Clock::Duration when;
    Reason reason;
  };
  [[nodiscard]] std::optional<Due> next() const {
    std::optional<Due> due;
    if (limits.total.count() > 0) due = Due{add_saturating(started, limits.total), Reason::total};
    if (limits.no_progress.count() > 0) {
      Clock::Duration last(last_progress.load(std::memory_order_relaxed));
      if (heartbeat) last = std::max(last, heartbeat->last());
      const Clock::Duration when = add_saturating(last, limits.no_progress);
      if (!due || when < due->when) due = Due{when, Reason::no_progress};
    }
    return due;
  }

  // With `mutex` held. Progress only moves the limit: the timer looks again when it fires.
  void arm() {
    const auto due = next();
    if (due) timer = clock->call_at(due->when, [self = shared_from_this()] { self->look(); });
  }

  void look() {
    std::shared_ptr<Engine> keep;  // let go after the lock: it may be the last
    const std::lock_guard lock(mutex);
    timer = 0;
    if (stopped) return;
    const auto due = next();
    assert(due);
    if (due->when > clock->steady()) return arm();
    if (of_engine) {
      keep = engine.lock();
      if (!keep) return;
    }
    asio::post(executor, [self = shared_from_this()] { self->expire(); });
  }

  void expire() {
    std::function<void(Reason)> fn;
    std::optional<Due> due;
    {
      const std::lock_guard lock(mutex);
      if (stopped) return;
      // The executor may have been busy for long, and with what makes progress.
      due = next();
      if (due->when > clock->steady()) return arm();
      fn = std::exchange(on_expired, nullptr);
    }
    if (fn) fn(due->reason);
  }

  void stop() noexcept {
    std::function<void(Reason)> fn;
    Clock::TimerId waiting = 0;
    {
      const std::lock_guard lock(mutex);
      stopped = true;
      fn = std::exchange(on_expired, nullptr);
      waiting = std::exchange(timer, 0);
    }
    if (waiting != 0) clock->cancel(waiting);
  }

  const std::shared_ptr<Clock> clock;
  const asio::any_io_executor executor;
  std::weak_ptr<Engine> engine;  // whose strand the executor is
  bool of_engine = false;
  const Limits limits;
  std::mutex mutex;
  std::function<void(Reason)> on_expired;
  const std::shared_ptr<const Heartbeat> heartbeat;
  Clock::TimerId timer = 0;
  bool stopped = false;
  const Clock::Duration started;
  std::atomic<Clock::Duration::rep> last_progress;
};

Watchdog::Watchdog(std::shared_ptr<Clock> clock, asio::any_io_executor executor, Limits limits,
                   std::function<void(Reason)> on_expired,
                   std::shared_ptr<const Heartbeat> heartbeat)
    : Watchdog(std::make_shared<State>(std::move(clock), std::move(executor), limits,
                                       std::move(on_expired), std::move(heartbeat))) {}

Watchdog::Watchdog(const std::shared_ptr<Engine>& engine, Limits limits,
                   std::function<void(Reason)> on_expired,
                   std::shared_ptr<const Heartbeat> heartbeat)
    : Watchdog(std::make_shared<State>(engine, limits, std::move(on_expired),
                                       std::move(heartbeat))) {}

Watchdog::Watchdog(std::shared_ptr<State> state) : state_(std::move(state)) {
  const std::lock_guard lock(state_->mutex);
  state_->arm();
}

Watchdog::~Watchdog() {
  stop();
}

void Watchdog::progress() noexcept {
  state_->last_progress.store(state_->clock->steady().count(), std::memory_order_relaxed);
}

void Watchdog::stop() noexcept {
  state_->stop();
}

QuarantineEntry::QuarantineEntry(std::shared_ptr<Quarantine> quarantine, std::uint64_t id) noexcept
    : quarantine_(std::move(quarantine)), id_(id) {}

QuarantineEntry::QuarantineEntry(QuarantineEntry&& other) noexcept
    : quarantine_(std::move(other.quarantine_)), id_(std::exchange(other.id_, 0)) {}

QuarantineEntry& QuarantineEntry::operator=(QuarantineEntry&& other) noexcept {
  if (this != &other) {
    release();
    quarantine_ = std::move(other.quarantine_);
    id_ = std::exchange(other.id_, 0);
  }
  return *this;
}

QuarantineEntry::~QuarantineEntry() {
  release();
}

void QuarantineEntry::release() noexcept {
  const auto quarantine = std::move(quarantine_);
  if (quarantine) quarantine->remove(std::exchange(id_, 0));
}

struct Quarantine::State {
  struct Task {
    std::shared_ptr<void> held;
    std::uint64_t operations = 0;
    std::uint64_t bytes = 0;
  };
  mutable std::mutex mutex;
  std::map<std::uint64_t, Task> tasks;
  std::uint64_t last_id = 0;
  Totals totals;
};

Quarantine::Quarantine() : state_(std::make_unique<State>()) {}
Quarantine::~Quarantine() = default;

QuarantineEntry Quarantine::add(std::shared_ptr<void> held, std::uint64_t operations,
                                std::uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  const std::uint64_t id = ++state_->last_id;
  state_->tasks.emplace(id, State::Task{std::move(held), operations, bytes});
  ++state_->totals.tasks;
  state_->totals.operations += operations;
  state_->totals.bytes += bytes;
  return {shared_from_this(), id};
}

Quarantine::Totals Quarantine::totals() const {
  const std::lock_guard lock(state_->mutex);
  return state_->totals;
}

void Quarantine::remove(std::uint64_t id) noexcept {
  std::map<std::uint64_t, State::Task>::node_type
      node;  // ends after the lock: it may end an engine
  const std::lock_guard lock(state_->mutex);
  node = state_->tasks.extract(id);
  assert(!node.empty());
  --state_->totals.tasks;
  state_->totals.operations -= node.mapped().operations;
  state_->totals.bytes -= node.mapped().bytes;
}

}  // namespace cairn::engine
