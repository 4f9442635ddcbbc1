#include <cairn/engine/internal/worker_share.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

namespace cairn::engine::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// Tasks of 1 ms until `total` has passed; each is on a core for `share` of its time.
void work(WorkerShare& share, nanoseconds total, double on_core, bool wanted = true) {
  for (nanoseconds done = 0ns; done < total; done += 1ms) {
    share.note(1ms, nanoseconds(static_cast<std::int64_t>(1e6 * on_core)), wanted);
  }
}

TEST(WorkerShare, AllRunWhileTheCoresAreTheirs) {
  WorkerShare share(4);
  work(share, 10s, 0.97);
  EXPECT_EQ(share.allowed(), 4u);
}

TEST(WorkerShare, FewerRunWhereOthersWantTheCores) {
  // A trainer on all cores but one, and as many workers as cores.
  WorkerShare two(2);
  work(two, 100ms, 2.0 / 3);
  EXPECT_EQ(two.allowed(), 1u);
  // 15 and 16 on 16 cores: all get half of a core, and half of the workers go on.
  WorkerShare sixteen(16);
  work(sixteen, 40ms, 16.0 / 31);
  EXPECT_EQ(sixteen.allowed(), 8u);
}

TEST(WorkerShare, OneAlwaysRuns) {
  WorkerShare share(2);
  work(share, 10s, 0.01);
  EXPECT_EQ(share.allowed(), 1u);
  WorkerShare alone(1);
  work(alone, 10s, 0.01);
  EXPECT_EQ(alone.allowed(), 1u);
}

TEST(WorkerShare, AShortDisturbanceChangesNothing) {
  WorkerShare share(2);
  for (int i = 0; i < 100; ++i) {
    share.note(6ms, 1ms, true);  // the kernel had something to do
    work(share, 50ms, 0.99);
    ASSERT_EQ(share.allowed(), 2u) << i;
  }
}

TEST(WorkerShare, TheyComeBackWhenTheOthersAreGone) {
  WorkerShare share(8);
  work(share, 200ms, 0.3);
  EXPECT_LT(share.allowed(), 3u);
  work(share, 1s, 0.99);
  EXPECT_EQ(share.allowed(), 8u);
}

TEST(WorkerShare, TheyComeBackSoonAlsoAfterALongTime) {
  WorkerShare share(16);
  for (int i = 0; i < 60'000; ++i) work(share, 1ms, share.allowed() > 1 ? 0.5 : 0.95);
  work(share, 15s, 0.99);
  EXPECT_EQ(share.allowed(), 16u);
}

TEST(WorkerShare, WhatNobodyWaitsForIsNotTried) {
  WorkerShare share(2);
  work(share, 100ms, 0.6);
  work(share, 10s, 0.99, false);
  EXPECT_EQ(share.allowed(), 1u);
  work(share, 1ms, 0.99);
  EXPECT_EQ(share.allowed(), 2u);
}

TEST(WorkerShare, WhereOneMoreIsTooManyItIsTriedEverMoreSeldom) {
  WorkerShare share(2);
  nanoseconds with_two = 0ns;
  const auto minute = [&] {
    with_two = 0ns;
    for (int i = 0; i < 60'000; ++i) {
      if (share.allowed() == 2) with_two += 1ms;
      work(share, 1ms, share.allowed() == 2 ? 2.0 / 3 : 0.95);
    }
    return with_two;
  };
  EXPECT_LT(minute(), 1200ms);
  EXPECT_LT(minute(), 600ms) << "one of a hundred steps";
}

TEST(WorkerShare, KnowsHowLongItsThreadHasWaitedForACore) {
  std::ifstream file("/proc/thread-self/schedstat");
  std::int64_t on_core = 0;
  std::int64_t waited = 0;
  if (!(file >> on_core >> waited)) GTEST_SKIP() << "this kernel does not tell";
  const ThreadTimes times = thread_times();
  EXPECT_GE(times.passed - times.on_core, nanoseconds(waited));
  const ThreadTimes later = thread_times();
  EXPECT_GE(later.passed, times.passed);
  EXPECT_GE(later.passed - later.on_core, times.passed - times.on_core);
}

}  // namespace
}  // namespace cairn::engine::internal
