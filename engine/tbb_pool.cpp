// The one source that includes TBB. It is compiled without the thread sanitizer: TBB's inline code,
// half of it in a library that is not instrumented, would be reported as racing
// (engine/CMakeLists.txt).
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/task_queue.h>
#include <cairn/engine/internal/thread.h>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/info.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

// Defined by engine/CMakeLists.txt: this source is compiled without the sanitizer and cannot tell.
#ifdef CAIRN_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAIRN_LEAK_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CAIRN_LEAK_SANITIZER
#endif
#ifdef CAIRN_LEAK_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif

namespace cairn::engine {
namespace {

// The order that TBB keeps between enqueue() and the task, for a sanitizer that cannot see into it.
// The queue's own mutex says the rest, but not that the queue was made before a worker first locks
// it.
void tell_sanitizer_handed_over([[maybe_unused]] void* what) noexcept {
#ifdef CAIRN_THREAD_SANITIZER
  __tsan_release(what);
#endif
}
void tell_sanitizer_received([[maybe_unused]] void* what) noexcept {
#ifdef CAIRN_THREAD_SANITIZER
  __tsan_acquire(what);
#endif
}

// TBB gives an arena without a master one worker less than the machine has CPUs, unless its limit
// for the process is raised. One limit for all pools, only ever raised: TBB takes the least of
// several, and a smaller one of ours would hold the application's own loops down.
class WorkerLimit {
 public:
  void raise(std::size_t workers) {
    const std::lock_guard lock(mutex_);
    workers = std::max(workers, limit_);
    if (control_ && workers == limit_) return;
    control_.reset();
    limit_ = workers;
    control_.emplace(oneapi::tbb::global_control::max_allowed_parallelism, workers + 1);
  }

 private:
  std::mutex mutex_;
  std::size_t limit_ =
      static_cast<std::size_t>(std::max(1, oneapi::tbb::info::default_concurrency()));
  std::optional<oneapi::tbb::global_control> control_;
};
internal::PerProcess<WorkerLimit> worker_limit;

// TBB's workers serve other arenas of the process too: signals are blocked, and threads of others
// go first, only while they are here.
class WorkerObserver final : public oneapi::tbb::task_scheduler_observer {
 public:
  explicit WorkerObserver(oneapi::tbb::task_arena& arena) : task_scheduler_observer(arena) {
#ifdef CAIRN_LEAK_SANITIZER
    // Debian's libtbb forgets the record of an observer whose worker is asleep when it is
    // destroyed. Not in a file of suppressions: names cost each test a second to look up.
    const __lsan::ScopedDisabler forgotten;
#endif
    observe(true);
  }
  ~WorkerObserver() override {
    observe(false);
  }
  void on_scheduler_entry(bool) override {
    manners_.emplace(makers_policy_);
  }
  void on_scheduler_exit(bool) override {
    manners_.reset();
  }

 private:
  struct Manners {
    explicit Manners(int policy_elsewhere) : scheduling(policy_elsewhere) {}
    internal::SignalBlock signals;
    internal::BatchScheduling scheduling;
  };
  const int makers_policy_ = internal::scheduling_policy();
  static thread_local std::optional<Manners> manners_;
};
thread_local std::optional<WorkerObserver::Manners> WorkerObserver::manners_;

class TbbPool final : public CpuPool {
 public:
  explicit TbbPool(unsigned threads)
      : generation_(internal::fork_generation()), parts_(std::make_unique<Parts>(threads)) {}

  // Never on one of its own tasks: Engine sees to that. In a forked child TBB's threads are gone
  // and ending an arena could wait for them.
  ~TbbPool() override {
    if (internal::fork_generation() != generation_)
      static_cast<void>(parts_.release());
    else
      parts_->queue.wait_idle();
  }

  void enqueue(std::function<void()> task) override {
    internal::check_not_forked(generation_, "this CPU pool");
    internal::TaskQueue* const queue = &parts_->queue;
    const internal::TaskQueue::Pushed pushed = queue->push(std::move(task));
    if (!pushed.call) return;
    try {
      parts_->call_one();
    } catch (...) {
      // Whoever asked is told, so the task must not run later. Where a worker has taken it already,
      // another is left without a worker.
      if (queue->take_back(pushed.number)) throw;
      queue->run_one();
    }
  }

  [[nodiscard]] unsigned concurrency() const noexcept override { return parts_->threads; }

 private:
  struct Parts {
    explicit Parts(unsigned count)
        : threads(allowed(count)),
          queue(count, [this] { call_one(); }),
          arena(static_cast<int>(count), 0),
          observer(arena) {}
    void call_one() {
      tell_sanitizer_handed_over(&queue);
      arena.enqueue([this] {
        tell_sanitizer_received(&queue);
        queue.run_one();
      });
    }
    // Before the arena is made: TBB cuts its request for workers to the limit of that moment.
    static unsigned allowed(unsigned count) {
      worker_limit.get().raise(count);
      return count;
    }
    const unsigned threads;
    internal::TaskQueue queue;
    oneapi::tbb::task_arena arena;
    WorkerObserver observer;
  };

  const std::uint64_t generation_;
  std::unique_ptr<Parts> parts_;
};

// The generation of processes that started TBB, plus one; 0 = none has.
std::atomic<std::uint64_t> tbb_generation{0};

}  // namespace

std::shared_ptr<CpuPool> make_tbb_pool(unsigned threads) {
  if (threads == 0) threads = available_cpus();
  const std::uint64_t mine = internal::fork_generation() + 1;
  std::uint64_t first = 0;
  if (!tbb_generation.compare_exchange_strong(first, mine) && first != mine)
    return internal::make_thread_pool(threads);
  return std::make_shared<TbbPool>(threads);
}

}  // namespace cairn::engine
