#include <cairn/engine/clock.h>
#include <gtest/gtest.h>
#include <support/run.h>

#include <boost/asio/bind_executor.hpp>
#include <csignal>
#include <future>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

TEST(ManualClock, StandsStillUntilToldToMove) {
  ManualClock clock(1000);
  EXPECT_EQ(clock.now_ns(), 1000);
  EXPECT_EQ(clock.steady(), 0ns);
  clock.advance(5ns);
  EXPECT_EQ(clock.now_ns(), 1005);
  EXPECT_EQ(clock.steady(), 5ns);
}

TEST(ManualClock, CallsTimersInOrderOfDeadlineAtTheirTime) {
  ManualClock clock;
  std::vector<std::pair<int, Clock::Duration>> calls;
  const auto note = [&](int which) { calls.emplace_back(which, clock.steady()); };
  clock.call_at(30ns, [&] { note(3); });
  clock.call_at(10ns, [&] {
    note(1);
    clock.call_at(20ns, [&] { note(2); });
  });
  clock.call_at(30ns, [&] { note(4); });
  clock.call_at(99ns, [&] { note(5); });
  EXPECT_EQ(clock.advance(50ns), 4u);
  const std::vector<std::pair<int, Clock::Duration>> expected = {
      {1, 10ns}, {2, 20ns}, {3, 30ns}, {4, 30ns}};
  EXPECT_EQ(calls, expected);
  EXPECT_EQ(clock.steady(), 50ns);
  EXPECT_EQ(clock.pending(), 1u);
}

TEST(ManualClock, PastDeadlineFiresAtTheNextStepNotInsideTheCall) {
  ManualClock clock;
  clock.advance(10ns);
  bool called = false;
  clock.call_at(5ns, [&] { called = true; });
  EXPECT_FALSE(called);
  EXPECT_EQ(clock.advance(0ns), 1u);
  EXPECT_TRUE(called);
  EXPECT_EQ(clock.steady(), 10ns);
}

TEST(ManualClock, CancelSaysWhetherTheTimerWaited) {
  ManualClock clock;
  const auto one = clock.call_at(5ns, [] { FAIL() << "called after it was cancelled"; });
  const auto two = clock.call_at(5ns, [] {});
  EXPECT_NE(one, two);
  EXPECT_TRUE(clock.cancel(one));
  EXPECT_FALSE(clock.cancel(one));
  EXPECT_EQ(clock.advance(5ns), 1u);
  EXPECT_FALSE(clock.cancel(two));
  EXPECT_FALSE(clock.cancel(0));
}

TEST(SystemClock, CallsDueTimersOnAThreadOfItsOwnWithSignalsBlocked) {
  const auto clock = system_clock();
  std::promise<bool> blocked;
  clock->call_at(clock->steady() - 1s, [&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocked.set_value(sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1);
  });
  EXPECT_TRUE(blocked.get_future().get());
}

TEST(SystemClock, EarlierTimerGoesBeforeOneThatIsWaitedFor) {
  const auto clock = system_clock();
  const auto far = clock->call_at(clock->steady() + 1000h, [] {});
  const auto never = clock->call_at(Clock::Duration::max(), [] {});
  std::promise<void> called;
  clock->call_at(clock->steady(), [&] { called.set_value(); });
  called.get_future().wait();
  EXPECT_TRUE(clock->cancel(far));
  EXPECT_TRUE(clock->cancel(never));
}

TEST(SystemClock, NeverGoesBackAndIsOneForTheProcess) {
  EXPECT_EQ(system_clock(), system_clock());
  const auto before = system_clock()->steady();
  EXPECT_GE(system_clock()->steady(), before);
  EXPECT_GT(system_clock()->now_ns(), 1'600'000'000'000'000'000);
}

class AsyncWaitUntil : public ::testing::Test {
 protected:
  void settle() {
    context_.restart();
    context_.poll();
  }
  void wait_until(Clock::Duration deadline) {
    auto take = [this](boost::system::error_code error) { result_ = error; };
    async_wait_until(clock_, deadline,
                     asio::bind_cancellation_slot(signal_.slot(),
                                                  asio::bind_executor(context_, std::move(take))));
  }
  asio::io_context context_;
  ManualClock clock_;
  asio::cancellation_signal signal_;
  std::optional<boost::system::error_code> result_;
};

TEST_F(AsyncWaitUntil, CompletesWhenTheDeadlineComes) {
  wait_until(10ns);
  clock_.advance(9ns);
  settle();
  EXPECT_FALSE(result_);
  clock_.advance(1ns);
  EXPECT_FALSE(result_) << "completed on the clock's thread";
  settle();
  ASSERT_TRUE(result_);
  EXPECT_FALSE(*result_);
}

TEST_F(AsyncWaitUntil, CancellationEndsItAndTakesTheTimerAway) {
  wait_until(10ns);
  signal_.emit(asio::cancellation_type::total);
  settle();
  EXPECT_EQ(result_, asio::error::operation_aborted);
  EXPECT_EQ(clock_.pending(), 0u);
}

TEST_F(AsyncWaitUntil, CancellationAfterTheDeadlineChangesNothing) {
  wait_until(10ns);
  clock_.advance(10ns);
  signal_.emit(asio::cancellation_type::terminal);
  settle();
  ASSERT_TRUE(result_);
  EXPECT_FALSE(*result_);
}

}  // namespace
}  // namespace cairn::engine
