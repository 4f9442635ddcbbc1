#pragma once
// How many workers of a pool may run at once. As many as it has, while the cores are theirs; fewer,
// while others want them: a trainer's step would otherwise wait for a worker, and a save gains
// little from a worker that gets half a core.

#include <chrono>

namespace cairn::engine::internal {

/// Not thread-safe.
class WorkerShare {
 public:
  explicit WorkerShare(unsigned workers) noexcept : workers_(workers), allowed_(workers) {}

  /// 1 to as many as there are.
  [[nodiscard]] unsigned allowed() const noexcept { return allowed_; }
  /// A task took so long, of which its thread was on a core for `on_core` and waited for one, as a
  /// rule, otherwise. `wanted`: more tasks waited than may run.
  void note(std::chrono::nanoseconds took, std::chrono::nanoseconds on_core, bool wanted) noexcept;

 private:
  void give_way() noexcept;

  unsigned workers_;
  unsigned allowed_;
  /// Waited beyond what is usual, less what it was below that: a cumulative sum (E. S. Page,
  /// Biometrika 41, 1954), which a short disturbance does not carry far.
  std::chrono::nanoseconds excess_{};
  // Since it was zero.
  std::chrono::nanoseconds took_{};
  std::chrono::nanoseconds on_core_{};
  /// Of all tasks since `allowed_` changed, or others were last seen to want the cores. One more is
  /// tried after `patience_`, which grows as long as that comes to nothing.
  std::chrono::nanoseconds since_change_{};
  std::chrono::nanoseconds patience_{};
  bool trying_ = false;
};

/// Two clocks: one that runs always, and one that stands still while this thread waits for a core
/// that another thread has. Their difference within a task counts, not what they show.
struct ThreadTimes {
  std::chrono::nanoseconds passed{};
  std::chrono::nanoseconds on_core{};
};
[[nodiscard]] ThreadTimes thread_times() noexcept;

}  // namespace cairn::engine::internal
