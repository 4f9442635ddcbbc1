#include <cairn/engine/async_semaphore.h>
#include <gtest/gtest.h>
#include <support/gate_test.h>
#include <support/run.h>
#include <support/seed.h>

#include <random>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;

using AsyncSemaphoreTest = test::GateTest<AsyncSemaphore, Permit>;

TEST_F(AsyncSemaphoreTest, BoundsWhatIsHeld) {
  AsyncSemaphore semaphore(3);
  const auto two = ask(semaphore, 2);
  const auto one = ask(semaphore, 1);
  const auto next = ask(semaphore, 1);
  settle();
  EXPECT_EQ(two->grant.count(), 2u);
  EXPECT_TRUE(one->grant);
  EXPECT_FALSE(next->done);
  EXPECT_EQ(semaphore.available(), 0u);
  EXPECT_EQ(semaphore.waiting(), 1u);
  one->grant.reset();
  settle();
  EXPECT_TRUE(next->grant);
}

TEST_F(AsyncSemaphoreTest, ServesInTheOrderOfAsking) {
  AsyncSemaphore semaphore(3);
  Permit held = semaphore.try_acquire(2);
  const auto large = ask(semaphore, 3);
  const auto small = ask(semaphore, 1);
  settle();
  EXPECT_FALSE(small->done);
  EXPECT_FALSE(semaphore.try_acquire(1));
  large->signal.emit(asio::cancellation_type::terminal);
  settle();
  EXPECT_EQ(large->error, asio::error::operation_aborted);
  EXPECT_TRUE(small->grant);
}

TEST_F(AsyncSemaphoreTest, RefusesMoreThanThereAre) {
  AsyncSemaphore semaphore(2);
  const auto request = ask(semaphore, 3);
  settle();
  EXPECT_EQ(request->error, make_error_code(Errc::request_too_large));
}

TEST_F(AsyncSemaphoreTest, EndsWaitersWhenDestroyedAndPermitsOutliveIt) {
  auto semaphore = std::make_unique<AsyncSemaphore>(1);
  Permit held = semaphore->try_acquire(1);
  const auto request = ask(*semaphore, 1);
  semaphore.reset();
  settle();
  EXPECT_EQ(request->error, asio::error::operation_aborted);
  held.reset();
}

asio::awaitable<void> hold(AsyncSemaphore& semaphore, std::atomic<std::size_t>& held,
                           std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int round = 0; round < 100; ++round) {
    const std::size_t count = 1 + random() % 5;
    const Permit permit = co_await semaphore.async_acquire(count, asio::use_awaitable);
    if (held.fetch_add(count) + count > 5) throw std::runtime_error("more held than there are");
    if (random() % 2 == 0) co_await asio::post(asio::use_awaitable);
    held.fetch_sub(count);
  }
}

TEST_F(AsyncSemaphoreTest, NeverGivesMoreThanItHasToSeveralThreads) {
  const std::uint64_t seed = test::make_seed();
  AsyncSemaphore semaphore(5);
  std::atomic<std::size_t> held = 0;
  std::atomic<int> failures = 0;
  asio::thread_pool threads(3);
  const auto count = [&failures](std::exception_ptr failure) {
    if (failure) ++failures;
  };
  for (std::uint64_t task = 0; task < 16; ++task)
    asio::co_spawn(threads, hold(semaphore, held, seed + task), count);
  threads.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(semaphore.available(), 5u);
}

}  // namespace
}  // namespace cairn::engine
