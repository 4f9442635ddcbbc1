#pragma once
// Timers by deadline, for both clocks.

#include <cairn/engine/clock.h>

#include <atomic>
#include <cassert>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace cairn::engine::internal {

/// Timers that wait, the earliest first; equal deadlines in the order of asking. Not thread-safe.
class TimerList {
 public:
  using Function = std::function<void()>;

  Clock::TimerId add(Clock::Duration deadline, Function fn) {
    assert(fn != nullptr);
    // One count for the process: a timer of a parent process is no timer of its child's.
    static std::atomic<Clock::TimerId> last{0};
    const Clock::TimerId id = last.fetch_add(1, std::memory_order_relaxed) + 1;
    deadlines_.emplace(id, deadline);
    timers_.emplace(Key(deadline, id), std::move(fn));
    return id;
  }

  /// The function of a timer that waited, none otherwise. It is for the caller to destroy,
  /// unlocked: its captures may end anything.
  [[nodiscard]] std::optional<Function> remove(Clock::TimerId id) {
    const auto found = deadlines_.find(id);
    if (found == deadlines_.end()) return std::nullopt;
    auto node = timers_.extract(Key(found->second, id));
    deadlines_.erase(found);
    return std::move(node.mapped());
  }

  [[nodiscard]] bool empty() const noexcept { return timers_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return timers_.size(); }
  [[nodiscard]] Clock::Duration first_deadline() const { return timers_.begin()->first.first; }

  [[nodiscard]] Function take_first() {
    auto node = timers_.extract(timers_.begin());
    deadlines_.erase(node.key().second);
    return std::move(node.mapped());
  }

 private:
  using Key = std::pair<Clock::Duration, Clock::TimerId>;
  std::map<Key, Function> timers_;
  std::unordered_map<Clock::TimerId, Clock::Duration> deadlines_;
};

}  // namespace cairn::engine::internal
