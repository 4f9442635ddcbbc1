#pragma once
// Tasks on their way to workers. A queue of ours, not TBB's: a mutex of ours hands each task over,
// so a race detector sees the order although libtbb is not instrumented, and the pool can wait for
// its end.

#include <cairn/engine/cpu_pool.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace cairn::engine::internal {

/// First in, first out. Thread-safe.
class TaskQueue {
 public:
  /// Returns what take_back() needs.
  std::uint64_t push(std::function<void()> task);
  /// Undoes a push() for which nobody will call run_one(). False where another's call has taken the
  /// task: then one call of run_one() is owed all the same.
  [[nodiscard]] bool take_back(std::uint64_t pushed);
  /// Runs the oldest task on this thread, as an engine thread. One call for each push(). A task
  /// that throws ends the process.
  void run_one() noexcept;
  /// Waits until every task pushed has run.
  void wait_idle();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  struct Task {
    std::uint64_t number;
    std::function<void()> run;
  };
  std::deque<Task> tasks_;  ///< by their numbers
  std::uint64_t last_number_ = 0;
  std::size_t unfinished_ = 0;
};

/// A pool of plain threads, for a forked child in which TBB no longer works.
[[nodiscard]] std::shared_ptr<CpuPool> make_thread_pool(unsigned threads);

}  // namespace cairn::engine::internal
