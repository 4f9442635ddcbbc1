// How the engine's threads share cores with those of others.

#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/internal/strand_thread.h>
#include <cairn/engine/internal/thread.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <thread>

namespace cairn::engine::internal {
namespace {

/// The kernel's policies of a thread that begins with one.
struct Policies {
  int inside = -1;  ///< a BatchScheduling that was made by `enter`
  int after = -1;   ///< its end
};
template <class Enter>
Policies policies_of_thread_with(int policy, Enter enter) {
  Policies policies;
  std::thread([&] {
    const sched_param priority{};
    ::sched_setscheduler(0, policy, &priority);
    {
      const BatchScheduling scope = enter();
      policies.inside = ::sched_getscheduler(0);
    }
    policies.after = ::sched_getscheduler(0);
  }).join();
  return policies;
}

class Scheduling : public ::testing::Test {
 protected:
  void SetUp() override {
    if (scheduling_policy() != SCHED_OTHER) GTEST_SKIP() << "threads inherit another policy";
  }
};

TEST_F(Scheduling, AThreadIsAsItWasOnceTheScopeEnds) {
  const Policies policies = policies_of_thread_with(SCHED_OTHER, [] { return BatchScheduling(); });
  EXPECT_EQ(policies.inside, SCHED_BATCH);
  EXPECT_EQ(policies.after, SCHED_OTHER);
}

TEST_F(Scheduling, WhatAThreadInheritedFromOneOfOursEndsWithItsOwnScope) {
  const Policies policies =
      policies_of_thread_with(SCHED_BATCH, [] { return BatchScheduling(SCHED_OTHER); });
  EXPECT_EQ(policies.inside, SCHED_BATCH);
  EXPECT_EQ(policies.after, SCHED_OTHER);
}

TEST_F(Scheduling, APolicyOfTheThreadsOwnStays) {
  for (const int policy : {SCHED_BATCH, SCHED_IDLE}) {
    const Policies policies = policies_of_thread_with(policy, [] { return BatchScheduling(); });
    EXPECT_EQ(policies.inside, policy);
    EXPECT_EQ(policies.after, policy);
  }
}

TEST_F(Scheduling, ThreadsThatAreStartedInAScopeAreNotInIt) {
  std::promise<int> started;
  {
    const BatchScheduling scope;
    EXPECT_EQ(scheduling_policy(), SCHED_OTHER);
    start_thread("started", [&] { started.set_value(::sched_getscheduler(0)); }).join();
  }
  EXPECT_EQ(started.get_future().get(), SCHED_OTHER);
}

TEST_F(Scheduling, APoolThatIsMadeInAScopeHasWorkersThatGiveWay) {
  const BatchScheduling scope;
  const auto pool = make_tbb_pool(1);
  std::promise<int> policy;
  std::promise<int> outside;
  pool->enqueue([&] {
    policy.set_value(::sched_getscheduler(0));
    outside.set_value(scheduling_policy());
  });
  EXPECT_EQ(policy.get_future().get(), SCHED_BATCH);
  EXPECT_EQ(outside.get_future().get(), SCHED_OTHER);
}

/// The kernel's policy of what is posted to the strand.
int policy_on(StrandThread& strand) {
  std::promise<int> policy;
  boost::asio::post(strand.executor(), [&] { policy.set_value(::sched_getscheduler(0)); });
  return policy.get_future().get();
}

TEST_F(Scheduling, AnIdleStrandLetsWhoWakesItGoOn) {
  StrandThread strand(std::chrono::milliseconds(0));
  EXPECT_EQ(policy_on(strand), SCHED_BATCH);
  while (policy_on(strand) != SCHED_BATCH) std::this_thread::yield();
}

TEST_F(Scheduling, AStrandThatHasJustRunSomethingIsWokenAtOnce) {
  StrandThread strand(std::chrono::hours(1));
  EXPECT_EQ(policy_on(strand), SCHED_BATCH);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(policy_on(strand), SCHED_OTHER);
}

}  // namespace
}  // namespace cairn::engine::internal
