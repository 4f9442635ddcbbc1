// When the caller of a save that missed its deadline gets its arrays back: not before the last
// copy, source or write that reads them has ended.

#include <gmock/gmock.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;
using ::testing::HasSubstr;

constexpr auto kTotal = 60s;
constexpr Index kElements = 1 << 18;

/// Runs tasks inside enqueue(), but for those after the first `pass`, which wait for release().
class HeldPool final : public engine::CpuPool {
 public:
  explicit HeldPool(std::size_t pass) : pass_(pass) {}
  void enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    if (++seen_ > pass_) {
      held_.push_back(std::move(task));
      changed_.notify_all();
      return;
    }
    lock.unlock();
    task();
  }
  [[nodiscard]] unsigned concurrency() const noexcept override { return 1; }
  void wait_until_held() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !held_.empty(); });
  }
  /// Runs what is held; nothing is held any more.
  void release() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mutex_);
      pass_ = ~std::size_t{0};
      tasks.swap(held_);
    }
    for (const auto& task : tasks) task();
  }
  [[nodiscard]] std::size_t seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t pass_;
  std::size_t seen_ = 0;
  std::vector<std::function<void()>> held_;
};

/// Answers when it is told to.
class SlowSource final : public Source {
 public:
  void read(const IndexRange&, std::span<std::byte>,
            std::function<void(std::exception_ptr)> done) override {
    const std::lock_guard lock(mutex_);
    done_ = std::move(done);
    ++reads_;
    changed_.notify_all();
  }
  void wait_until_asked() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return reads_ > 0; });
  }
  void answer() {
    std::function<void(std::exception_ptr)> done;
    {
      const std::lock_guard lock(mutex_);
      done = std::move(done_);
    }
    done(nullptr);
  }
  [[nodiscard]] int reads() {
    const std::lock_guard lock(mutex_);
    return reads_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(std::exception_ptr)> done_;
  int reads_ = 0;
};

/// How staged() ended. poll() sees what had been set before the call.
class StagedWait {
 public:
  explicit StagedWait(const SaveFuture& save) {
    save.staged(boost::asio::bind_executor(context_.get_executor(), [this](std::exception_ptr e) {
      error_ = std::move(e);
      ended_ = true;
    }));
  }
  bool has_ended() {
    context_.restart();
    context_.poll();
    return ended_;
  }
  /// Waits for it.
  Error error() {
    context_.restart();
    if (!ended_) context_.run();
    try {
      if (error_) std::rethrow_exception(error_);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "it succeeded";
    return Error(ErrorCode::internal, "none");
  }

 private:
  boost::asio::io_context context_;
  std::exception_ptr error_;
  bool ended_ = false;
};

class CallerMemory : public test::ManagerTest {
 protected:
  ManagerOptions watched(std::shared_ptr<engine::CpuPool> pool = nullptr) {
    test::EngineSettings settings;
    settings.faults = faults_;
    settings.clock = clock_;
    settings.cpu_pool = std::move(pool);
    ManagerOptions made = options(settings);
    made.async_timeout = kTotal;
    made.no_progress_timeout = 0ms;
    return made;
  }
  /// Passes the deadline: committed() fails at once.
  void miss_deadline(const SaveFuture& save) {
    clock_->advance(kTotal + 1s);
    try {
      static_cast<void>(save.get());
      ADD_FAILURE() << "it succeeded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::timed_out);
    }
  }
  static void expect_let_go(StagedWait& staged) {
    const Error error = staged.error();
    EXPECT_EQ(error.code(), ErrorCode::timed_out);
    EXPECT_THAT(error.what(), HasSubstr("not finished after 60000 ms"));
  }
  /// Until the save has cleaned up.
  static void drain(const CheckpointManager& manager) {
    while (manager.engine()->stats().quarantined_tasks != 0) std::this_thread::yield();
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::ManualClock> clock_ = std::make_shared<engine::ManualClock>();
};
CAIRN_ON_EVERY_BACKEND(CallerMemory);

// Task 1 plans, 2 copies small arrays, 3 the large one; each reads what the caller has.
TEST_P(CallerMemory, IsKeptUntilTheWorkersHaveLetItGo) {
  for (std::size_t task = 0; task < 3; ++task) {
    const auto pool = std::make_shared<HeldPool>(task);
    CheckpointManager manager(root() + std::to_string(task), watched(pool));
    auto small = std::make_unique<Array>(DType::float32, Shape{8});
    auto array = std::make_unique<Array>(DType::float32, Shape{kElements});
    const SaveFuture save =
        manager.save(0, Dict{{"b", Tree(ArrayView(*small))}, {"w", Tree(ArrayView(*array))}});
    StagedWait staged(save);
    pool->wait_until_held();
    miss_deadline(save);
    EXPECT_FALSE(staged.has_ended()) << "task " << task << " still reads the array";
    pool->release();
    expect_let_go(staged);
    small.reset();
    array.reset();
    drain(manager);
    EXPECT_EQ(pool->seen(), task + 1) << "another one began after the deadline";
  }
}

TEST_P(CallerMemory, IsKeptUntilASourceHasAnswered) {
  CheckpointManager manager(root(), watched());
  const auto source = std::make_shared<SlowSource>();
  Leaf leaf(DType::float32, {kElements}, source);
  const SaveFuture save = manager.save(0, Dict{{"w", Tree(std::move(leaf))}});
  StagedWait staged(save);
  source->wait_until_asked();
  miss_deadline(save);
  EXPECT_FALSE(staged.has_ended());
  source->answer();
  expect_let_go(staged);
  drain(manager);
  EXPECT_EQ(source->reads(), 1);
}

TEST_P(CallerMemory, IsKeptUntilTheKernelHasLetGoOfBorrowedArrays) {
  CheckpointManager manager(root(), watched());
  const Array array(DType::float32, {kElements});
  faults_->hold([](const engine::IoRequest& request) {
    return request.op == IoOp::write && request.length > 100'000;
  });
  SaveOptions borrow;
  borrow.capture = Capture::borrow;
  const SaveFuture save = manager.save(0, Dict{{"w", Tree(ArrayView(array))}}, borrow);
  StagedWait staged(save);
  faults_->wait_until_held(1);
  miss_deadline(save);
  EXPECT_FALSE(staged.has_ended());
  faults_->release();
  expect_let_go(staged);
  drain(manager);
}

TEST_P(CallerMemory, IsLetGoThoughTheDiskHangsWhereNothingReadsIt) {
  ManagerOptions patient = watched();
  patient.lock_timeout = 10s;  // so that the lock is asked for before anything is copied
  CheckpointManager manager(root(), patient);
  faults_->hold(FaultPlan::only({IoOp::lock}));
  const Array array(DType::float32, {kElements});
  const SaveFuture save = manager.save(0, Dict{{"w", Tree(ArrayView(array))}});
  StagedWait staged(save);
  faults_->wait_until_held(1);
  miss_deadline(save);
  expect_let_go(staged);
  faults_->release();
  drain(manager);
}

}  // namespace
}  // namespace cairn
