// When a step is saved: the policies by themselves. A number such as B070 is that of the behaviour
// (tests/behaviours) whose arithmetic it is.

#include <cairn/manager/save_policy.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/policy_samples.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using save_policy::AnyOf;
using save_policy::FixedInterval;
using save_policy::InitialSave;
using save_policy::SpecificSteps;
using test::expect_refused;
using test::Steps;

const SaveContext kIdle;

/// The steps that a policy saves of first..last, each listed once it is saved.
Steps saved_by(const SaveDecisionPolicy& policy, Step first, Step last,
               std::vector<CheckpointInfo> previous = {}) {
  Steps saved;
  for (Step step = first; step <= last; ++step) {
    if (!policy(step, previous, kIdle)) continue;
    saved.push_back(step);
    previous.emplace_back(step);
  }
  return saved;
}

TEST(SavePolicy, FixedIntervalSavesItsMultiples) {
  EXPECT_EQ(saved_by(FixedInterval(1), 0, 3), (Steps{0, 1, 2, 3}));
  EXPECT_EQ(saved_by(FixedInterval(4), 1, 9), (Steps{4, 8}));
  expect_refused([] { FixedInterval(0); }, "interval is 0, it must be at least 1");
  expect_refused([] { FixedInterval(-3); }, "save_policy::FixedInterval");
}

TEST(SavePolicy, AnyOfSavesWhatOneOfItsPoliciesSaves) {  // B070
  EXPECT_EQ(saved_by(AnyOf({FixedInterval(3), SpecificSteps({4}), FixedInterval(5)}), 1, 10),
            (Steps{3, 4, 5, 6, 9, 10}));
  EXPECT_EQ(saved_by(AnyOf({FixedInterval(3), SpecificSteps({4}), FixedInterval(5), InitialSave()}),
                     1, 10),
            (Steps{1, 3, 4, 5, 6, 9, 10}));
}

TEST(SavePolicy, AnyOfAsksInOrderAndNoLongerThanNeeded) {
  int asked = 0;
  const auto count = [&asked](Step, std::span<const CheckpointInfo>, const SaveContext&) {
    ++asked;
    return false;
  };
  const AnyOf policy({count, FixedInterval(2), count});
  EXPECT_TRUE(policy(2, {}, kIdle));
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(policy(3, {}, kIdle));
  EXPECT_EQ(asked, 3);
}

TEST(SavePolicy, AnyOfMayBeNestedAndHoldsALambda) {
  const auto sevens = [](Step step, std::span<const CheckpointInfo>, const SaveContext&) {
    return step % 7 == 0;
  };
  const SaveDecisionPolicy policy =
      AnyOf({AnyOf({sevens, SpecificSteps({2})}), SpecificSteps({3})});
  EXPECT_EQ(saved_by(policy, 1, 9), (Steps{2, 3, 7}));
}

TEST(SavePolicy, AnyOfRefusesToBeEmptyOrToHoldNothing) {
  expect_refused([] { AnyOf({}); }, "no policy is given: nothing would be saved");
  expect_refused(
      [] {
        AnyOf({InitialSave(), SaveDecisionPolicy()});
      },
      "policy 2 of 2 is an empty function");
}

TEST(SavePolicy, PreemptionSaveAndInitialSaveLookAtTheSituation) {
  SaveContext ending;
  ending.reached_preemption = true;
  EXPECT_TRUE(save_policy::PreemptionSave()(7, {}, ending));
  EXPECT_FALSE(save_policy::PreemptionSave()(7, {}, kIdle));
  EXPECT_TRUE(InitialSave()(7, {}, kIdle));
  EXPECT_FALSE(InitialSave()(7, test::seconds_apart({3}), kIdle));
}

// ---- Continuous ----

TEST(ContinuousSave, SavesWheneverNoneIsRunning) {  // B071
  const save_policy::Continuous policy;
  SaveContext busy;
  busy.is_saving_in_progress = true;
  EXPECT_TRUE(policy(0, {}, kIdle));
  const auto previous = test::seconds_apart({0});
  EXPECT_FALSE(policy(1, previous, busy));
  EXPECT_FALSE(policy(2, previous, busy));
  EXPECT_TRUE(policy(3, previous, kIdle));
}

TEST(ContinuousSave, CountsTheIntervalBySteadyTimeWhereItIsKnown) {
  const save_policy::Continuous policy(2s);
  std::vector<CheckpointInfo> previous = test::seconds_apart({0});
  previous[0].steady_ns = 500;
  SaveContext context;
  context.now_ns = test::kEpochNs + test::kHourNs;  // the clock was set; nobody waited for an hour
  context.steady_ns = 500 + 2 * test::kSecondNs - 1;
  EXPECT_FALSE(policy(1, previous, context));
  context.steady_ns += 1;
  EXPECT_TRUE(policy(1, previous, context));
  context.is_saving_in_progress = true;
  EXPECT_FALSE(policy(1, previous, context));
}

TEST(ContinuousSave, CountsTheIntervalByStampsSinceAnotherProcessesStep) {
  const save_policy::Continuous policy(2s);
  const auto previous = test::seconds_apart({0, 1});  // the newest one second after kEpochNs
  SaveContext context;
  context.steady_ns = 1;
  context.now_ns = test::kEpochNs + 3 * test::kSecondNs - 1;
  EXPECT_FALSE(policy(2, previous, context));
  context.now_ns += 1;
  EXPECT_TRUE(policy(2, previous, context));
}

TEST(ContinuousSave, IsNotHeldUpByAClockThatWasSetBack) {
  const save_policy::Continuous policy(2s);
  SaveContext context;
  context.now_ns = test::kEpochNs - test::kHourNs;
  EXPECT_TRUE(policy(1, test::seconds_apart({0}), context));
}

TEST(ContinuousSave, TakesAnyStampAndAnyInterval) {
  std::vector<CheckpointInfo> previous = test::seconds_apart({0});
  previous[0].time_ns = std::numeric_limits<std::int64_t>::min();
  SaveContext context;
  context.now_ns = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(save_policy::Continuous(24h)(1, previous, context));
  EXPECT_TRUE(save_policy::Continuous(0ms)(1, test::seconds_apart({0}), kIdle));
  previous[0].time_ns = 0;
  EXPECT_FALSE(save_policy::Continuous(std::chrono::milliseconds::max())(1, previous, context));
  expect_refused([] { save_policy::Continuous(-1ms); }, "min_interval is -1 ms");
}

// ---- the default ----

SaveDecisionPolicy every(std::int64_t interval, std::set<Step> also = {}) {
  SaveDecisionOptions options;
  options.save_interval_steps = interval;
  options.save_on_steps = std::move(also);
  return default_save_decision(options);
}

TEST(DefaultSaveDecision, SavesTheMultiplesOfItsInterval) {  // B022
  EXPECT_EQ(saved_by(every(2), 0, 5), (Steps{0, 2, 4}));
  EXPECT_EQ(saved_by(every(1), 0, 3), (Steps{0, 1, 2, 3}));
  expect_refused([] { static_cast<void>(every(0)); },
                 "save_interval_steps is 0, it must be at least 1");
}

TEST(DefaultSaveDecision, SavesGivenStepsBesides) {  // B023
  EXPECT_EQ(saved_by(every(10000, {1, 3, 5}), 0, 5), (Steps{0, 1, 3, 5}));
}

TEST(DefaultSaveDecision, LeavesAStepOffTheIntervalToForce) {  // B025
  const auto previous = test::seconds_apart({0, 2, 4});
  EXPECT_FALSE(every(2)(5, previous, kIdle));
  EXPECT_TRUE(every(2)(6, previous, kIdle)) << "and what was forced changes nothing";
}

TEST(DefaultSaveDecision, SavesTheFirstStepWhateverItsNumber) {  // B074
  for (const std::int64_t interval : {1, 3, 1000}) {
    EXPECT_TRUE(every(interval)(10, {}, kIdle)) << interval;
  }
  EXPECT_EQ(saved_by(every(1000), 10, 30), (Steps{10}));
}

TEST(DefaultSaveDecision, SavesBeforeTheJobEnds) {  // B038
  SaveContext ending;
  ending.reached_preemption = true;
  const auto previous = test::seconds_apart({0});
  EXPECT_FALSE(every(4)(2, previous, kIdle));
  EXPECT_TRUE(every(4)(2, previous, ending));
}

TEST(DefaultSaveDecision, AFunctionOfTheUsersDecidesAlone) {  // B050
  SaveDecisionOptions options;
  options.save_interval_steps = 1;
  options.save_on_steps = {0, 4, 5};
  options.should_save_fn = [](Step step, std::optional<Step>) {
    return step != 0 && (step % 3 == 0 || step == 2);
  };
  const SaveDecisionPolicy policy = default_save_decision(options);
  Steps would_save;
  for (Step step = 0; step <= 6; ++step) {
    if (policy(step, {}, kIdle)) would_save.push_back(step);
  }
  EXPECT_EQ(would_save, (Steps{2, 3, 6})) << "not the first step as such";
  SaveContext ending;
  ending.reached_preemption = true;
  EXPECT_TRUE(policy(4, {}, ending));
}

TEST(DefaultSaveDecision, TellsTheUsersFunctionTheLatestStep) {
  std::vector<std::optional<Step>> told;
  SaveDecisionOptions options;
  options.should_save_fn = [&told](Step, std::optional<Step> latest) {
    told.push_back(latest);
    return false;
  };
  const SaveDecisionPolicy policy = default_save_decision(options);
  EXPECT_FALSE(policy(5, {}, kIdle));
  EXPECT_FALSE(policy(5, test::seconds_apart({1, 4}), kIdle));
  EXPECT_EQ(told, (std::vector<std::optional<Step>>{std::nullopt, 4}));
}

}  // namespace
}  // namespace cairn
