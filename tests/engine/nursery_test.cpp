#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/nursery.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <support/run.h>
#include <support/seed.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/system/system_error.hpp>
#include <random>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;
using boost::system::system_error;
using test::Started;

// What a test and its coroutines share. Gates are semaphores that a test opens when it likes.
struct World {
  explicit World(std::size_t gates) : gate(std::max<std::size_t>(gates, 1)) {
    closed = gate.try_acquire(std::max<std::size_t>(gates, 1));
  }
  asio::any_io_executor executor() { return context.get_executor(); }
  void settle() {
    context.restart();
    context.poll();
  }
  asio::io_context context;
  AsyncSemaphore gate;
  Permit closed;
  int started = 0;
  int finished = 0;
  int aborted = 0;
  bool joined = false;
};

asio::awaitable<void> succeed(World& world) {
  ++world.started;
  co_await asio::post(asio::use_awaitable);
  ++world.finished;
}

asio::awaitable<void> fail(World& world, std::string why) {
  ++world.started;
  co_await asio::post(asio::use_awaitable);
  throw std::runtime_error(why);
}

asio::awaitable<void> wait_at_gate(World& world) {
  ++world.started;
  error_code error;
  const Permit permit =
      co_await world.gate.async_acquire(1, asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    ++world.aborted;
    throw system_error(error);
  }
  ++world.finished;
}

// Takes long to let go after it was cancelled: awaits in its cleanup, and then fails.
asio::awaitable<void> fail_in_cleanup(World& world) {
  ++world.started;
  error_code error;
  static_cast<void>(
      co_await world.gate.async_acquire(1, asio::redirect_error(asio::use_awaitable, error)));
  co_await asio::this_coro::reset_cancellation_state();
  co_await asio::post(asio::use_awaitable);
  ++world.aborted;
  throw std::runtime_error("cleanup failed");
}

asio::awaitable<void> join(World& world, Nursery& nursery) {
  const auto mark =
      std::unique_ptr<World, void (*)(World*)>(&world, [](World* w) { w->joined = true; });
  co_await nursery.join();
}

TEST(Nursery, StartsChildrenByPostingAndWaitsForAll) {
  World world(1);
  Nursery nursery(world.executor());
  for (int i = 0; i < 5; ++i) nursery.spawn(succeed(world));
  EXPECT_EQ(world.started, 0);
  EXPECT_EQ(nursery.alive(), 5u);
  test::run(world.context, nursery.join());
  EXPECT_EQ(world.finished, 5);
  EXPECT_EQ(nursery.alive(), 0u);
}

TEST(Nursery, OneFailureIsThrownAsItIsAfterAllHaveEnded) {
  World world(1);
  Nursery nursery(world.executor());
  for (int i = 0; i < 3; ++i) nursery.spawn(wait_at_gate(world));
  nursery.spawn(fail(world, "disk on fire"));
  try {
    test::run(world.context, nursery.join());
    FAIL() << "join() did not throw";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "disk on fire");
  }
  EXPECT_EQ(world.aborted, 3) << "siblings were not cancelled";
  EXPECT_EQ(nursery.alive(), 0u);
}

TEST(Nursery, SeveralFailuresAreCountedAndTheFirstIsNamed) {
  World world(1);
  Nursery nursery(world.executor());
  nursery.spawn(fail(world, "first"));
  nursery.spawn(fail_in_cleanup(world));
  nursery.spawn(wait_at_gate(world));
  nursery.spawn(fail(world, "second"));
  try {
    test::run(world.context, nursery.join());
    FAIL() << "join() did not throw";
  } catch (const NurseryError& error) {
    EXPECT_STREQ(error.what(), "3 of 4 failed, first: first");
    EXPECT_EQ(error.failed(), 3u);
    EXPECT_EQ(error.total(), 4u);
    EXPECT_THROW(std::rethrow_exception(error.first()), std::runtime_error);
  }
}

TEST(Nursery, RefusesSpawnsAfterAFailureAndIsAsNewAfterJoin) {
  World world(1);
  Nursery nursery(world.executor());
  nursery.spawn(fail(world, "x"));
  world.settle();
  nursery.spawn(succeed(world));
  EXPECT_EQ(nursery.alive(), 0u);
  EXPECT_THROW(test::run(world.context, nursery.join()), std::runtime_error);
  nursery.spawn(succeed(world));
  test::run(world.context, nursery.join());
  EXPECT_EQ(world.finished, 1);
}

TEST(Nursery, CancelEndsChildrenWithoutFailure) {
  World world(1);
  Nursery nursery(world.executor());
  nursery.spawn(wait_at_gate(world));
  world.settle();
  nursery.spawn(succeed(world));
  nursery.cancel();
  test::run(world.context, nursery.join());
  EXPECT_EQ(world.aborted, 1);
  EXPECT_EQ(world.started, 1) << "a child started although it was cancelled before";
}

TEST(Nursery, AbortedByItselfIsAFailure) {
  World world(1);
  Nursery nursery(world.executor());
  auto alone = []() -> asio::awaitable<void> {
    throw system_error(asio::error::operation_aborted);
    co_return;
  };
  nursery.spawn(alone());
  EXPECT_THROW(test::run(world.context, nursery.join()), system_error);
}

TEST(Nursery, CancelledParentDrainsBeforeJoinThrows) {
  World world(1);
  Nursery nursery(world.executor());
  asio::cancellation_signal signal;
  nursery.spawn(wait_at_gate(world));
  nursery.spawn(fail_in_cleanup(world));
  Started<void> parent(world.executor(), join(world, nursery), signal.slot());
  world.settle();
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_FALSE(world.joined) << "join() ended before the children had";
  world.settle();
  EXPECT_EQ(world.aborted, 2);
  ASSERT_TRUE(parent.done());
  try {
    parent.get();
    FAIL() << "join() did not throw";
  } catch (const system_error& error) {
    EXPECT_EQ(error.code(), asio::error::operation_aborted)
        << "a failure after the cancellation hid it";
  }
}

TEST(Nursery, CancelledTwiceStillDrains) {
  World world(1);
  Nursery nursery(world.executor());
  asio::cancellation_signal signal;
  nursery.spawn(fail_in_cleanup(world));
  Started<void> parent(world.executor(), join(world, nursery), signal.slot());
  world.settle();
  signal.emit(asio::cancellation_type::terminal);
  signal.emit(asio::cancellation_type::terminal);
  world.settle();
  EXPECT_EQ(world.aborted, 1);
  EXPECT_THROW(parent.get(), system_error);
}

asio::awaitable<std::vector<bool>> window(World& world, Nursery& nursery, int tasks,
                                          std::size_t& most) {
  std::vector<bool> answers;
  for (int i = 0; i < tasks; ++i) {
    nursery.spawn(succeed(world));
    most = std::max(most, nursery.alive());
    answers.push_back(co_await nursery.wait_below(2));
  }
  co_await nursery.join();
  co_return answers;
}

TEST(Nursery, WaitBelowBoundsTheWindow) {
  World world(1);
  Nursery nursery(world.executor());
  std::size_t most = 0;
  const auto answers = test::run(world.context, window(world, nursery, 20, most));
  EXPECT_EQ(most, 3u);
  EXPECT_THAT(answers, ::testing::Each(true));
  EXPECT_EQ(world.finished, 20);
}

asio::awaitable<void> wait_then_join(World& world, Nursery& nursery, bool& answer) {
  nursery.spawn(wait_at_gate(world));
  nursery.spawn(wait_at_gate(world));
  answer = co_await nursery.wait_below(0);
  co_await nursery.join();
}

TEST(Nursery, WaitBelowSaysNoWhenAChildFails) {
  World world(1);
  Nursery nursery(world.executor());
  bool answer = true;
  nursery.spawn(fail(world, "x"));
  EXPECT_THROW(test::run(world.context, wait_then_join(world, nursery, answer)),
               std::runtime_error);
  EXPECT_FALSE(answer);
  EXPECT_EQ(nursery.alive(), 0u);
}

TEST(Nursery, WaitBelowSaysNoWhenTheParentIsCancelledAndJoinCanBeReached) {
  World world(1);
  Nursery nursery(world.executor());
  asio::cancellation_signal signal;
  bool answer = true;
  Started<void> parent(world.executor(), wait_then_join(world, nursery, answer), signal.slot());
  world.settle();
  signal.emit(asio::cancellation_type::terminal);
  world.settle();
  EXPECT_FALSE(answer);
  EXPECT_EQ(world.aborted, 2);
  EXPECT_THROW(parent.get(), system_error);
}

asio::awaitable<void> throwing_body(Nursery& nursery, World* world) {
  nursery.spawn(wait_at_gate(*world));
  co_await asio::post(asio::use_awaitable);
  throw std::logic_error("body");
}

asio::awaitable<void> waiting_body(Nursery& nursery, World* world) {
  nursery.spawn(wait_at_gate(*world));
  nursery.spawn(fail_in_cleanup(*world));
  static_cast<void>(co_await world->gate.async_acquire(1, asio::use_awaitable));
}

asio::awaitable<void> spawning_body(Nursery& nursery, World* world) {
  for (int i = 0; i < 4; ++i) nursery.spawn(succeed(*world));
  co_return;
}

TEST(WithNursery, DrainsWhenTheBodyThrows) {
  World world(1);
  EXPECT_THROW(test::run(world.context, with_nursery(world.executor(), &throwing_body, &world)),
               std::logic_error);
  EXPECT_EQ(world.aborted, 1);
}

TEST(WithNursery, DrainsWhenCancelledInAnyAwaitOfTheBody) {
  World world(1);
  asio::cancellation_signal signal;
  Started<void> parent(world.executor(), with_nursery(world.executor(), &waiting_body, &world),
                       signal.slot());
  world.settle();
  signal.emit(asio::cancellation_type::terminal);
  world.settle();
  EXPECT_EQ(world.aborted, 2);
  EXPECT_THROW(parent.get(), system_error);
}

TEST(WithNursery, JoinsWhenTheBodyHasEnded) {
  World world(1);
  test::run(world.context, with_nursery(world.executor(), &spawning_body, &world));
  EXPECT_EQ(world.finished, 4);
}

asio::awaitable<void> waiting_beside_a_failure(Nursery& nursery, World* world) {
  nursery.spawn(wait_at_gate(*world));
  nursery.spawn(fail(*world, "disk on fire"));
  static_cast<void>(co_await world->gate.async_acquire(1, asio::use_awaitable));
}

TEST(WithNursery, AFailingChildEndsTheBodyInAnyAwait) {
  World world(1);
  Started<void> parent(world.executor(),
                       with_nursery(world.executor(), &waiting_beside_a_failure, &world));
  world.settle();
  ASSERT_TRUE(parent.done()) << "the body still waits";
  EXPECT_EQ(world.aborted, 1);
  try {
    parent.get();
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "disk on fire") << "the body's cancellation hid it";
  }
}

asio::awaitable<void> body_that_tries_again(Nursery& nursery, World* world) {
  for (int i = 0; i < 2; ++i) nursery.spawn(fail(*world, "flaky"));
  bool failed = false;
  try {
    co_await nursery.join();
  } catch (const NurseryError& error) {
    failed = error.failed() == 2;
  }
  if (!failed) co_return;
  nursery.spawn(succeed(*world));
  co_await asio::post(asio::use_awaitable);
}

TEST(WithNursery, ABodyInJoinLearnsWhatFailedAndMayGoOn) {
  World world(1);
  test::run(world.context, with_nursery(world.executor(), &body_that_tries_again, &world));
  EXPECT_EQ(world.finished, 1);
}

asio::awaitable<void> joining_body(Nursery& nursery, World* world) {
  nursery.spawn(wait_at_gate(*world));
  co_await nursery.join();
}

TEST(WithNursery, DrainsWhenCancelledInJoin) {
  World world(1);
  asio::cancellation_signal signal;
  Started<void> parent(world.executor(), with_nursery(world.executor(), &joining_body, &world),
                       signal.slot());
  world.settle();
  signal.emit(asio::cancellation_type::terminal);
  world.settle();
  EXPECT_EQ(world.aborted, 1);
  EXPECT_THROW(parent.get(), system_error);
}

asio::awaitable<void> wander(World& world, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  ++world.started;
  const std::uint64_t end = random() % 20;
  for (std::uint64_t step = 0; step < end; ++step) {
    if (random() % 8 == 0)
      static_cast<void>(co_await world.gate.async_acquire(1, asio::use_awaitable));
    else
      co_await asio::post(asio::use_awaitable);
  }
  if (random() % 100 == 0) throw std::runtime_error("unlucky");
  ++world.finished;
}

TEST(Nursery, RandomChildrenAlwaysDrain) {
  const std::uint64_t seed = test::make_seed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    World world(2);
    world.closed.reset();
    Nursery nursery(world.executor());
    asio::cancellation_signal signal;
    Started<void> parent(world.executor(), join(world, nursery), signal.slot());
    for (int i = 0; i < 30; ++i) nursery.spawn(wander(world, random()));
    for (std::uint64_t steps = random() % 200; steps > 0; --steps) world.context.poll_one();
    if (random() % 2 == 0) signal.emit(asio::cancellation_type::terminal);
    world.settle();
    ASSERT_TRUE(parent.done()) << "round " << round << ", alive " << nursery.alive();
    ASSERT_EQ(nursery.alive(), 0u);
    try {
      parent.get();
    } catch (const std::runtime_error&) {
    }
  }
}

asio::awaitable<void> wander_and_spawn(Nursery& nursery, World* world, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10; ++i) {
    nursery.spawn(wander(*world, random()));
    if (random() % 3 == 0 && !co_await nursery.wait_below(random() % 4)) break;
    if (random() % 3 == 0) co_await asio::post(asio::use_awaitable);
    if (random() % 8 == 0)
      static_cast<void>(co_await world->gate.async_acquire(1, asio::use_awaitable));
  }
  if (random() % 4 == 0) co_await nursery.join();
  if (random() % 20 == 0) throw std::runtime_error("unlucky body");
}

TEST(WithNursery, RandomBodiesAlwaysDrain) {
  const std::uint64_t seed = test::make_seed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    World world(2);
    world.closed.reset();
    asio::cancellation_signal signal;
    Started<void> parent(
        world.executor(),
        with_nursery(world.executor(), &wander_and_spawn, &world, std::uint64_t{random()}),
        signal.slot());
    for (std::uint64_t steps = random() % 200; steps > 0; --steps) world.context.poll_one();
    if (random() % 2 == 0) signal.emit(asio::cancellation_type::terminal);
    world.settle();
    ASSERT_TRUE(parent.done()) << "round " << round;
    try {
      parent.get();
    } catch (const std::runtime_error&) {
    }
  }
}

TEST(NurseryDeathTest, AbortsWhenDestroyedWithChildrenAlive) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(
      {
        World world(1);
        Nursery nursery(world.executor());
        nursery.spawn(succeed(world));
      },
      "destroyed with 1 children alive");
}

}  // namespace
}  // namespace cairn::engine
