#include <cairn/engine/deadline.h>
#include <cairn/engine/engine.h>
#include <gtest/gtest.h>
#include <support/run.h>

#include <future>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class WatchdogTest : public ::testing::Test {
 protected:
  std::unique_ptr<Watchdog> watch(Clock::Duration no_progress, Clock::Duration total) {
    Watchdog::Limits limits;
    limits.no_progress = no_progress;
    limits.total = total;
    return std::make_unique<Watchdog>(clock_, context_.get_executor(), limits,
                                      [this](Watchdog::Reason why) { reasons_.push_back(why); });
  }
  void settle() {
    context_.restart();
    context_.poll();
  }
  asio::io_context context_;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::vector<Watchdog::Reason> reasons_;
};

TEST_F(WatchdogTest, ExpiresOnceWhenNothingMoves) {
  const auto dog = watch(10s, 0s);
  clock_->advance(9s);
  settle();
  EXPECT_TRUE(reasons_.empty());
  clock_->advance(1s);
  EXPECT_TRUE(reasons_.empty()) << "called on the clock's thread";
  settle();
  clock_->advance(100s);
  settle();
  EXPECT_EQ(reasons_, std::vector{Watchdog::Reason::no_progress});
}

TEST_F(WatchdogTest, ProgressPutsItOff) {
  const auto dog = watch(10s, 0s);
  for (int i = 0; i < 20; ++i) {
    clock_->advance(9s);
    dog->progress();
    settle();
  }
  EXPECT_TRUE(reasons_.empty());
  clock_->advance(10s);
  settle();
  EXPECT_EQ(reasons_.size(), 1u);
}

TEST_F(WatchdogTest, BeatsOfTheHeartThatItListensToPutItOff) {
  const auto heart = std::make_shared<Heartbeat>(clock_);
  Watchdog::Limits limits;
  limits.no_progress = 10s;
  const auto count = [this](Watchdog::Reason why) { reasons_.push_back(why); };
  const Watchdog one(clock_, context_.get_executor(), limits, count, heart);
  clock_->advance(9s);
  heart->beat();
  const Watchdog later(clock_, context_.get_executor(), limits, count, heart);
  clock_->advance(9s);
  settle();
  EXPECT_TRUE(reasons_.empty());
  EXPECT_EQ(heart->last(), 9s);
  clock_->advance(1s);
  settle();
  EXPECT_EQ(reasons_.size(), 2u) << "one heart for both";
}

TEST_F(WatchdogTest, TotalComesInSpiteOfProgress) {
  const auto dog = watch(10s, 60s);
  for (int i = 0; i < 12; ++i) {
    EXPECT_TRUE(reasons_.empty());
    clock_->advance(5s);
    dog->progress();
    settle();
  }
  EXPECT_EQ(reasons_, std::vector{Watchdog::Reason::total});
}

TEST_F(WatchdogTest, WithoutLimitsItNeverExpires) {
  const auto dog = watch(0s, 0s);
  EXPECT_EQ(clock_->pending(), 0u);
}

TEST_F(WatchdogTest, IsSilentAfterStopEvenWhenTheTimerHasFired) {
  auto dog = watch(10s, 0s);
  clock_->advance(10s);
  dog->stop();
  settle();
  EXPECT_TRUE(reasons_.empty());
  dog = watch(10s, 0s);
  dog.reset();
  EXPECT_EQ(clock_->pending(), 0u);
}

TEST_F(WatchdogTest, ProgressBetweenTheTimerAndTheCallPutsItOff) {
  const auto dog = watch(10s, 60s);
  clock_->advance(10s);  // the call is on its way, behind what else the executor has to do
  dog->progress();
  settle();
  EXPECT_TRUE(reasons_.empty());
  clock_->advance(10s);
  settle();
  EXPECT_EQ(reasons_, std::vector{Watchdog::Reason::no_progress});
}

TEST_F(WatchdogTest, LimitsThatNoClockReachesNeverExpire) {
  clock_->advance(10s);
  const auto total = watch(0s, Clock::Duration::max());
  const auto progress = watch(Clock::Duration::max(), 0s);
  clock_->advance(1000h);
  settle();
  EXPECT_TRUE(reasons_.empty());
}

TEST_F(WatchdogTest, ItsExecutorMayRunDry) {
  const auto dog = watch(10s, 0s);
  EXPECT_TRUE(context_.run() == 0 && context_.stopped()) << "kept running by the watchdog";
}

EngineOptions small_engine(std::shared_ptr<Clock> clock) {
  EngineOptions options;
  options.backend.kind = BackendKind::threads;
  options.staging_bytes = options.io_window_bytes = 1 << 20;
  options.cpu_threads = 1;
  options.clock = std::move(clock);
  return options;
}

TEST_F(WatchdogTest, OfAnEngineIsCalledOnItsStrand) {
  const auto engine = Engine::create(small_engine(clock_));
  Watchdog::Limits limits;
  limits.total = 10s;
  std::promise<bool> on_strand;
  const Watchdog dog(engine, limits,
                     [&](Watchdog::Reason) { on_strand.set_value(engine->on_strand()); });
  clock_->advance(10s);
  EXPECT_TRUE(on_strand.get_future().get());
}

TEST_F(WatchdogTest, OfAnEngineNeitherKeepsItNorOutlivesItBadly) {
  auto engine = Engine::create(small_engine(clock_));
  const std::weak_ptr<Engine> watch_engine = engine;
  Watchdog::Limits limits;
  limits.total = 10s;
  const Watchdog dog(engine, limits, [this](Watchdog::Reason why) { reasons_.push_back(why); });
  engine.reset();  // returns: the strand has nothing left to do
  EXPECT_TRUE(watch_engine.expired());
  clock_->advance(10s);
  EXPECT_TRUE(reasons_.empty());
}

TEST(Quarantine, KeepsWhatItHoldsUntilTheEntryIsReleased) {
  const auto quarantine = std::make_shared<Quarantine>();
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  QuarantineEntry entry = quarantine->add(std::move(held), 3, 4096);
  QuarantineEntry other = quarantine->add(nullptr, 1, 100);
  EXPECT_EQ(quarantine->totals().tasks, 2u);
  EXPECT_EQ(quarantine->totals().operations, 4u);
  EXPECT_EQ(quarantine->totals().bytes, 4196u);
  QuarantineEntry moved = std::move(entry);
  EXPECT_FALSE(watch.expired());
  moved.release();
  moved.release();
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(quarantine->totals().tasks, 1u);
  other = QuarantineEntry();
  EXPECT_EQ(quarantine->totals().bytes, 0u);
}

}  // namespace
}  // namespace cairn::engine
