#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/task_queue.h>
#include <cairn/engine/internal/thread.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <semaphore>
#include <vector>

namespace cairn::engine::internal {

std::uint64_t TaskQueue::push(std::function<void()> task) {
  assert(task != nullptr);
  const std::lock_guard lock(mutex_);
  tasks_.push_back({last_number_ + 1, std::move(task)});
  ++unfinished_;
  return ++last_number_;
}

bool TaskQueue::take_back(std::uint64_t pushed) {
  std::function<void()> task;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::lower_bound(tasks_, pushed, {}, &Task::number);
  if (found == tasks_.end() || found->number != pushed) return false;
  task = std::move(found->run);
  tasks_.erase(found);
  if (--unfinished_ == 0) idle_.notify_all();
  return true;
}

void TaskQueue::run_one() noexcept {
  std::function<void()> task;
  {
    const std::lock_guard lock(mutex_);
    assert(!tasks_.empty());
    task = std::move(tasks_.front().run);
    tasks_.pop_front();
  }
  {
    const EngineThreadScope scope;
    task();
    // Its captures are part of the task: they may be the last to hold an engine.
    task = nullptr;
  }
  const std::lock_guard lock(mutex_);
  if (--unfinished_ == 0) idle_.notify_all();
}

void TaskQueue::wait_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return unfinished_ == 0; });
}

namespace {

class ThreadPool final : public CpuPool {
 public:
  explicit ThreadPool(unsigned threads) : generation_(fork_generation()) {
    for (unsigned i = 0; i < threads; ++i)
      threads_.push_back(start_thread("cairn-cpu", [this] { work(); }));
  }

  ~ThreadPool() override {
    if (fork_generation() != generation_) {
      // The threads are not in this process: there is nothing to join.
      for (std::thread& thread : threads_) thread.detach();
      return;
    }
    queue_.wait_idle();
    stop_ = true;
    ready_.release(static_cast<std::ptrdiff_t>(threads_.size()));
    for (std::thread& thread : threads_) thread.join();
  }

  void enqueue(std::function<void()> task) override {
    check_not_forked(generation_, "this CPU pool");
    queue_.push(std::move(task));
    ready_.release();
  }

  [[nodiscard]] unsigned concurrency() const noexcept override {
    return static_cast<unsigned>(threads_.size());
  }

 private:
  void work() {
    const BatchScheduling scheduling;
    while (true) {
      ready_.acquire();
      if (stop_) return;
      queue_.run_one();
    }
  }

  const std::uint64_t generation_;
  TaskQueue queue_;
  std::counting_semaphore<> ready_{0};
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::shared_ptr<CpuPool> make_thread_pool(unsigned threads) {
  return std::make_shared<ThreadPool>(threads);
}

}  // namespace cairn::engine::internal
