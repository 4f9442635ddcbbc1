#pragma once
// Tasks on their way to workers. A queue of ours, not TBB's: a mutex of ours hands each task over,
// so a race detector sees the order although libtbb is not instrumented, and the pool can wait for
// its end.

#include <cairn/engine/cpu_pool.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace cairn::engine::internal {

/// First in, first out. Thread-safe.
class TaskQueue {
 public:
  void push(std::function<void()> task);
  /// Runs the oldest task on this thread, as an engine thread. One call for each push(). A task
  /// that throws ends the process.
  void run_one() noexcept;
  /// Waits until every task pushed has run.
  void wait_idle();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<std::function<void()>> tasks_;
  std::size_t unfinished_ = 0;
};

/// A pool of plain threads, for a forked child in which TBB no longer works.
[[nodiscard]] std::shared_ptr<CpuPool> make_thread_pool(unsigned threads);

}  // namespace cairn::engine::internal
