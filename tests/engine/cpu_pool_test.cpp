#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/internal/task_queue.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <support/run.h>
#include <support/seed.h>

#include <boost/asio/bind_executor.hpp>
#include <csignal>
#include <future>
#include <latch>
#include <numeric>
#include <semaphore>
#include <thread>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;

// The pool of production, and the one it becomes in a forked child.
class CpuPoolTest : public ::testing::TestWithParam<bool> {
 protected:
  static std::shared_ptr<CpuPool> make(unsigned threads) {
    return GetParam() ? make_tbb_pool(threads) : internal::make_thread_pool(threads);
  }
};
INSTANTIATE_TEST_SUITE_P(Pools, CpuPoolTest, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "tbb" : "threads"; });

TEST_P(CpuPoolTest, RunsAsManyTasksAtOnceAsItSays) {
  const unsigned threads = 3;
  // Each task waits for all others: this ends only when all are running.
  std::latch all_running(threads + 1);
  const auto pool = make(threads);
  EXPECT_EQ(pool->concurrency(), threads);
  for (unsigned i = 0; i < threads; ++i) pool->enqueue([&] { all_running.arrive_and_wait(); });
  all_running.arrive_and_wait();
}

TEST_P(CpuPoolTest, RunsEveryTaskBeforeItEnds) {
  std::atomic<int> ran = 0;
  auto pool = make(2);
  for (int i = 0; i < 1000; ++i) pool->enqueue([&] { ++ran; });
  pool.reset();
  EXPECT_EQ(ran, 1000);
}

TEST_P(CpuPoolTest, BlocksSignalsOnItsThreads) {
  std::promise<bool> blocked;
  const auto pool = make(1);
  pool->enqueue([&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocked.set_value(sigismember(&mask, SIGTERM) == 1);
  });
  EXPECT_TRUE(blocked.get_future().get());
}

TEST_P(CpuPoolTest, ItsThreadsDoNotPreemptOthersWhenTheyAreWoken) {
  if (sched_getscheduler(0) != SCHED_OTHER) GTEST_SKIP() << "threads inherit another policy";
  std::promise<int> policy;
  const auto pool = make(1);
  pool->enqueue([&] { policy.set_value(sched_getscheduler(0)); });
  EXPECT_EQ(policy.get_future().get(), SCHED_BATCH);
}

TEST_P(CpuPoolTest, HandsOverWhatTasksRefer) {
  // Plain memory, written here and read there and back: an ordering that were missing would be a
  // race.
  std::vector<int> values(1000);
  std::iota(values.begin(), values.end(), 0);
  std::promise<int> sum;
  const auto pool = make(2);
  pool->enqueue([&] { sum.set_value(std::accumulate(values.begin(), values.end(), 0)); });
  EXPECT_EQ(sum.get_future().get(), 499500);
  values[0] = 7;
}

asio::awaitable<int> on_pool(CpuPool& pool) {
  auto work = [] { return 41; };
  const int value = co_await async_run(pool, std::move(work), asio::use_awaitable);
  co_return value + 1;
}

TEST_P(CpuPoolTest, AsyncRunBringsTheResultBack) {
  const auto pool = make(1);
  asio::io_context context;
  EXPECT_EQ(test::run(context, on_pool(*pool)), 42);
}

TEST(AvailableCpus, IsAtLeastOneAndNoMoreThanTheMachineHas) {
  EXPECT_GE(available_cpus(), 1u);
  EXPECT_LE(available_cpus(), std::max(1u, std::thread::hardware_concurrency()));
  EXPECT_EQ(make_tbb_pool()->concurrency(), available_cpus());
}

TEST(TaskQueue, ATaskThatIsTakenBackNeverRuns) {
  internal::TaskQueue queue(3, [] {});
  std::string ran;
  static_cast<void>(queue.push([&] { ran += "a"; }));
  const std::uint64_t refused = queue.push([&] { ran += "b"; }).number;
  static_cast<void>(queue.push([&] { ran += "c"; }));
  EXPECT_TRUE(queue.take_back(refused));
  EXPECT_FALSE(queue.take_back(refused));
  queue.run_one();
  queue.run_one();
  queue.wait_idle();
  EXPECT_EQ(ran, "ac");
}

/// Every task takes 1 ms, and waits for a core meanwhile.
internal::ThreadTimes waiting() noexcept {
  static std::atomic<std::int64_t> calls = 0;
  internal::ThreadTimes times;
  times.passed = std::chrono::milliseconds(++calls);
  return times;
}

TEST(TaskQueue, FewerTasksRunAtOnceWhereWorkersWaitForCoresAndNoneIsForgotten) {
  constexpr unsigned kWorkers = 4;
  constexpr unsigned kTasks = 400;
  std::counting_semaphore<> calls(0);
  internal::TaskQueue queue(
      kWorkers, [&] { calls.release(); }, waiting);
  std::atomic<unsigned> running = 0;
  std::atomic<unsigned> ran = 0;
  std::atomic<bool> settled = false;
  std::atomic<unsigned> most = 0;
  for (unsigned i = 0; i < kTasks; ++i) {
    const auto pushed = queue.push([&] {
      const unsigned now = ++running;
      // By then they have given way; one that was slow to go may be in its task still.
      if (++ran > kTasks / 2 && now == 1) settled = true;
      if (settled) most = std::max(most.load(), now);
      std::this_thread::yield();
      --running;
    });
    if (pushed.call) calls.release();
  }
  std::atomic<bool> stop = false;
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&] {
      for (calls.acquire(); !stop; calls.acquire()) queue.run_one();
    });
  }
  queue.wait_idle();
  stop = true;
  calls.release(kWorkers);
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(ran, kTasks);
  EXPECT_EQ(most, 1u);
}

TEST(TaskQueue, WhoRunsGoesOnToWhatNobodyIsCalledFor) {
  internal::TaskQueue queue(1, [] { FAIL() << "one is enough"; });
  std::string ran;
  EXPECT_TRUE(queue.push([&] { ran += "a"; }).call);
  EXPECT_FALSE(queue.push([&] { ran += "b"; }).call);
  EXPECT_FALSE(queue.push([&] { ran += "c"; }).call);
  queue.run_one();
  queue.wait_idle();
  EXPECT_EQ(ran, "abc");
}

TEST(TaskQueue, WhatCountedOnACallThatFailedIsNotForgotten) {
  internal::TaskQueue queue(1, [] {});
  std::string ran;
  const auto refused = queue.push([&] { ran += "a"; });
  ASSERT_TRUE(refused.call);
  ASSERT_FALSE(queue.push([&] { ran += "b"; }).call);
  EXPECT_TRUE(queue.take_back(refused.number));
  queue.wait_idle();
  EXPECT_EQ(ran, "b");
  queue.run_one();  // the call comes all the same
  EXPECT_TRUE(queue.push([&] { ran += "c"; }).call);
  queue.run_one();
  EXPECT_EQ(ran, "bc");
}

/// Reads of the clock below so far.
std::int64_t reads = 0;

/// Every task takes 1 ms; up to the 40th read of the clock all of it was spent waiting.
internal::ThreadTimes waiting_at_first() noexcept {
  internal::ThreadTimes times;
  times.passed = std::chrono::milliseconds(++reads);
  times.on_core = std::chrono::milliseconds(std::max<std::int64_t>(0, reads - 40));
  return times;
}

TEST(TaskQueue, WhereNoMoreCanBeCalledWhoRunsGoesOn) {
  reads = 0;
  int calls = 0;
  int failed = 0;
  internal::TaskQueue queue(
      2,
      [&] {
        ++failed;
        throw std::bad_alloc();
      },
      waiting_at_first);
  int ran = 0;
  const auto push = [&](int tasks) {
    for (int i = 0; i < tasks; ++i) {
      if (queue.push([&] { ++ran; }).call) ++calls;
    }
    for (; calls > 0; --calls) queue.run_one();
  };
  push(20);
  push(380);
  queue.wait_idle();
  EXPECT_EQ(ran, 400);
  EXPECT_GT(failed, 0);
}

TEST(TaskQueue, ATaskThatRunsCannotBeTakenBack) {
  internal::TaskQueue queue(3, [] {});
  const std::uint64_t pushed = queue.push([] {}).number;
  queue.run_one();
  EXPECT_FALSE(queue.take_back(pushed));
  queue.wait_idle();
}

TEST(ManualPool, RunsNothingUntilToldAndTheSameOrderForTheSameSeed) {
  const std::uint64_t seed = test::make_seed();
  const auto order = [](std::uint64_t with) {
    ManualPool pool(with);
    std::vector<int> ran;
    for (int i = 0; i < 20; ++i) pool.enqueue([&ran, i] { ran.push_back(i); });
    EXPECT_TRUE(ran.empty());
    EXPECT_EQ(pool.run_all(), 20u);
    EXPECT_FALSE(pool.run_one());
    return ran;
  };
  const std::vector<int> first = order(seed);
  EXPECT_EQ(first, order(seed));
  EXPECT_EQ(std::set<int>(first.begin(), first.end()).size(), 20u);
  EXPECT_NE(order(1), order(2));
}

TEST(AsyncRun, CompletesOnTheHandlersExecutorWhoseWorkIsTracked) {
  ManualPool pool(1);
  asio::io_context context;
  bool done = false;
  auto take = [&](std::exception_ptr failure, int value) {
    EXPECT_EQ(failure, nullptr);
    EXPECT_EQ(value, 3);
    done = true;
  };
  async_run(
      pool, [] { return 3; }, asio::bind_executor(context, std::move(take)));
  context.poll();
  EXPECT_FALSE(context.stopped()) << "the context ran dry while the work was out";
  pool.run_all();
  EXPECT_FALSE(done) << "completed on the pool's thread";
  context.poll();
  EXPECT_TRUE(done);
}

TEST(AsyncRun, CarriesAnExceptionBack) {
  ManualPool pool(1);
  asio::io_context context;
  std::exception_ptr failure;
  auto take = [&](std::exception_ptr f) { failure = f; };
  async_run(
      pool, [] { throw std::out_of_range("boom"); }, asio::bind_executor(context, std::move(take)));
  pool.run_all();
  context.run();
  ASSERT_NE(failure, nullptr);
  EXPECT_THROW(std::rethrow_exception(failure), std::out_of_range);
}

TEST(AsyncRun, DestroysTheWorkBeforeItCompletes) {
  ManualPool pool(1);
  asio::io_context context;
  auto owned = std::make_shared<int>(5);
  std::weak_ptr<int> watch = owned;
  auto take = [&](std::exception_ptr, std::unique_ptr<int> value) {
    EXPECT_EQ(*value, 5);
    EXPECT_TRUE(watch.expired());
  };
  async_run(
      pool, [owned = std::move(owned)] { return std::make_unique<int>(*owned); },
      asio::bind_executor(context, std::move(take)));
  pool.run_all();
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(context.run(), 1u);
}

}  // namespace
}  // namespace cairn::engine
