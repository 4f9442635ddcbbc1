#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/task_queue.h>
#include <cairn/engine/internal/thread.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <semaphore>
#include <vector>

namespace cairn::engine::internal {

TaskQueue::TaskQueue(unsigned workers, std::function<void()> call_one, Times times)
    : call_one_(std::move(call_one)), times_(times), share_(workers) {}

TaskQueue::Pushed TaskQueue::push(std::function<void()> task) {
  assert(task != nullptr);
  const std::lock_guard lock(mutex_);
  tasks_.push_back({last_number_ + 1, std::move(task)});
  ++unfinished_;
  Pushed pushed;
  pushed.number = ++last_number_;
  pushed.call = running_ + called_ < share_.allowed();
  ++(pushed.call ? called_ : owed_);
  return pushed;
}

bool TaskQueue::take_back(std::uint64_t pushed) {
  std::function<void()> task;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::lower_bound(tasks_, pushed, {}, &Task::number);
    if (found == tasks_.end() || found->number != pushed) return false;
    task = std::move(found->run);
    tasks_.erase(found);
    --called_;
    if (--unfinished_ == 0) idle_.notify_all();
    if (running_ + called_ > 0 || owed_ == 0) return true;
    --owed_;
    ++called_;
  }
  // What others had pushed counted on this call.
  run_one();
  return true;
}

void TaskQueue::run_front(std::unique_lock<std::mutex>& lock) noexcept {
  assert(!tasks_.empty());
  std::function<void()> task = std::move(tasks_.front().run);
  tasks_.pop_front();
  lock.unlock();
  const ThreadTimes begin = times_();
  {
    const EngineThreadScope scope;
    task();
    // Its captures are part of the task: they may be the last to hold an engine.
    task = nullptr;
  }
  const ThreadTimes end = times_();
  lock.lock();
  share_.note(end.passed - begin.passed, end.on_core - begin.on_core, owed_ > 0);
}

std::size_t TaskQueue::take_owed() {
  const std::size_t there = running_ + called_;
  const std::size_t room = std::max<std::size_t>(share_.allowed(), there) - there;
  const std::size_t taken = std::min(owed_, room);
  owed_ -= taken;
  called_ += taken;
  return taken;
}

void TaskQueue::run_one() noexcept {
  std::unique_lock lock(mutex_);
  if (called_ == 0) return;  // of a call that failed and came all the same
  --called_;
  if (running_ >= share_.allowed()) {
    ++owed_;
    return;
  }
  ++running_;
  run_front(lock);
  while (owed_ > 0 && running_ <= share_.allowed()) {
    --owed_;        // which is run next
    --unfinished_;  // the one that has run
    const std::size_t calls = take_owed();
    if (calls > 0) {
      lock.unlock();
      call_for(calls);
      lock.lock();
    }
    run_front(lock);
  }
  --running_;
  if (--unfinished_ == 0) idle_.notify_all();
}

void TaskQueue::call_for(std::size_t tasks) noexcept {
  try {
    for (; tasks > 0; --tasks) call_one_();
  } catch (...) {
    // Whoever runs goes on to them.
    const std::lock_guard lock(mutex_);
    called_ -= tasks;
    owed_ += tasks;
  }
}

void TaskQueue::wait_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return unfinished_ == 0; });
}

namespace {

class ThreadPool final : public CpuPool {
 public:
  explicit ThreadPool(unsigned threads)
      : generation_(fork_generation()), queue_(threads, [this] { ready_.release(); }) {
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
    if (queue_.push(std::move(task)).call) ready_.release();
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
