#pragma once
// Tasks on their way to workers. A queue of ours, not TBB's: a mutex of ours hands each task over,
// so a race detector sees the order although libtbb is not instrumented, and the pool can wait for
// its end; and fewer workers may run at once than there are (worker_share.h).

#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/internal/worker_share.h>

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
  using Times = ThreadTimes (*)() noexcept;
  /// `workers`: how many calls of run_one() there are at once at most. `call_one` has another
  /// worker call it; it may throw, and is called without locks.
  TaskQueue(unsigned workers, std::function<void()> call_one, Times times = thread_times);
  struct Pushed {
    std::uint64_t number = 0;  ///< for take_back()
    bool call = false;         ///< a worker is to call run_one(); else one that runs goes on to it
  };
  [[nodiscard]] Pushed push(std::function<void()> task);
  /// Undoes a push() whose call nobody can make. False where another's call has taken the task:
  /// then one call of run_one() is owed all the same.
  [[nodiscard]] bool take_back(std::uint64_t pushed);
  /// Runs the oldest task on this thread, as an engine thread, and goes on while there are tasks
  /// that nobody is called for. Where as many run as may, it returns at once. A task that throws
  /// ends the process.
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
  /// Of those tasks that nobody is called for, as many as somebody may be called for now, who is.
  [[nodiscard]] std::size_t take_owed();
  void call_for(std::size_t tasks) noexcept;
  void run_front(std::unique_lock<std::mutex>& lock) noexcept;

  std::function<void()> call_one_;
  Times times_;
  WorkerShare share_;
  // Each task in the queue is one that a call is under way for, or an owed one. While there are
  // owed ones, somebody runs or is called.
  std::size_t running_ = 0;
  std::size_t called_ = 0;
  std::size_t owed_ = 0;
  std::deque<Task> tasks_;  ///< by their numbers
  std::uint64_t last_number_ = 0;
  std::size_t unfinished_ = 0;
};

/// A pool of plain threads, for a forked child in which TBB no longer works.
[[nodiscard]] std::shared_ptr<CpuPool> make_thread_pool(unsigned threads);

}  // namespace cairn::engine::internal
