// Which steps are kept: the policies by themselves and the default one. A number such as B019 is
// that of the behaviour (tests/behaviours) whose arithmetic it is.

#include <cairn/manager/preservation_policy.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/policy_samples.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using preservation::AnyOf;
using preservation::BestN;
using preservation::CustomSteps;
using preservation::EveryNSeconds;
using preservation::EveryNSteps;
using preservation::EveryNStepsClosest;
using preservation::LatestDuration;
using preservation::LatestN;
using test::expect_refused;
using test::kept_by;
using test::Retention;
using test::seconds_apart;
using test::Steps;
using test::with_losses;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const Steps kFive = {0, 1, 2, 3, 4};
const Steps kUneven = {0, 1, 2, 4, 5, 8, 9, 13, 14, 25};

// ---- by themselves ----

TEST(Preservation, LatestNMayKeepNothing) {
  EXPECT_EQ(kept_by(LatestN(0), seconds_apart(kFive)), Steps());
  EXPECT_EQ(kept_by(preservation::PreserveAll(), seconds_apart(kFive)), kFive);
  expect_refused([] { LatestN(-1); }, "n is -1, it must not be negative");
}

TEST(Preservation, EveryNSecondsCountsFromTheStepKeptLast) {
  auto infos = seconds_apart(kFive);
  for (std::size_t i = 0; i < infos.size(); ++i)
    infos[i].time_ns = test::kEpochNs + static_cast<std::int64_t>(i) * 700'000'000;
  EXPECT_EQ(kept_by(EveryNSeconds(1s), infos), (Steps{0, 2, 4}));
  EXPECT_EQ(kept_by(EveryNSeconds(1400ms), infos), (Steps{0, 2, 4}));
  EXPECT_EQ(kept_by(EveryNSeconds(1401ms), infos), (Steps{0, 3}));
  EXPECT_EQ(kept_by(EveryNSeconds(0s), infos), kFive);
  EXPECT_EQ(kept_by(EveryNSeconds(std::chrono::milliseconds::max()), infos), Steps{0});
  expect_refused([] { EveryNSeconds(-1s); }, "interval is -1000 ms");
}

TEST(Preservation, EveryNStepsKeepsMultiplesOrSpacesSteps) {  // test_every_n_steps_policy
  EXPECT_EQ(kept_by(EveryNSteps(1), seconds_apart(kFive)), kFive);
  EXPECT_EQ(kept_by(EveryNSteps(3), seconds_apart({0, 1, 2, 4})), (Steps{0}));
  EXPECT_EQ(kept_by(EveryNSteps(3, false), seconds_apart({0, 1, 2, 4})), (Steps{0, 4}));
  EXPECT_EQ(kept_by(EveryNSteps(6), seconds_apart(kFive)), (Steps{0}));
  EXPECT_EQ(kept_by(EveryNSteps(3, false), seconds_apart(kUneven)), (Steps{0, 4, 8, 13, 25}));
  EXPECT_EQ(kept_by(EveryNSteps(1, true, 3), seconds_apart(kFive)), (Steps{2, 3, 4}));
  EXPECT_EQ(kept_by(EveryNSteps(3, false, 3), seconds_apart(kUneven)), (Steps{8, 13, 25}));
  EXPECT_EQ(kept_by(EveryNSteps(1, true, 0), seconds_apart(kFive)), Steps());
  EXPECT_EQ(kept_by(EveryNSteps(4), seconds_apart({1, 2, 3})), Steps());
  EXPECT_EQ(kept_by(EveryNSteps(4, false), seconds_apart({1, 2, 5})), (Steps{1, 5}));
  expect_refused([] { EveryNSteps(0); }, "interval is 0, it must be at least 1");
  expect_refused([] { EveryNSteps(1, true, -1); }, "max_to_keep is -1");
}

TEST(Preservation, EveryNStepsClosestCountsAStepHalfwayForTheEvenMultiple) {
  EXPECT_EQ(kept_by(EveryNStepsClosest(4), seconds_apart({1, 2, 6, 7, 99})), (Steps{1, 7, 99}))
      << "2 counts for 0 and 6 for 8, where others are nearer";
  EXPECT_EQ(kept_by(EveryNStepsClosest(4), seconds_apart({2, 6, 99})), (Steps{2, 6, 99}));
  constexpr Step kLast = std::numeric_limits<Step>::max();
  EXPECT_EQ(kept_by(EveryNStepsClosest(kLast), seconds_apart({0, 1, kLast - 1, kLast})),
            (Steps{0, kLast}));
  EXPECT_EQ(kept_by(EveryNStepsClosest(2, 0), seconds_apart(kFive)), Steps());
  EXPECT_EQ(kept_by(EveryNStepsClosest(2), {}), Steps());
}

TEST(Preservation, EveryNStepsClosestKeepsTheLastStepThoughAnotherIsNearer) {
  EXPECT_EQ(kept_by(EveryNStepsClosest(3), seconds_apart({8, 9, 10})), (Steps{9, 10}));
}

TEST(Preservation, BestNRanksByItsFunction) {  // test_best_n_policy
  const auto best = [](std::optional<std::int64_t> n, bool keep_without = true) {
    return BestN(test::loss_of, true, n, keep_without);
  };
  const std::optional<double> none;
  EXPECT_EQ(kept_by(best(none), with_losses({5, none, 3, none, 7})), kFive);
  EXPECT_EQ(kept_by(best(1), with_losses({7, none, 4, none, 5})), (Steps{1, 2, 3}));
  EXPECT_EQ(kept_by(best(4), with_losses({5, none, 4, none, 7})), kFive);
  EXPECT_EQ(kept_by(best(4, false), with_losses({5, none, 4, none, 7})), (Steps{0, 2, 4}));
  EXPECT_EQ(kept_by(best(5, false), with_losses({5, none, 4, none, 7})), kFive)
      << "nothing goes while there are no more than n";
  EXPECT_EQ(kept_by(best(0), with_losses({5, none, 4})), Steps());
  EXPECT_EQ(kept_by(BestN(test::loss_of, false, 2), with_losses({5, 1, 9, 4})), (Steps{0, 2}));
  expect_refused([&] { best(-1); }, "n is -1");
  expect_refused([] { BestN(nullptr); }, "metric_fn is an empty function");
}

TEST(Preservation, BestNKeepsTheLaterOfEqualScoresInBothModes) {
  const auto infos = with_losses({2, 2, 2, 2});
  EXPECT_EQ(kept_by(BestN(test::loss_of, true, 2), infos), (Steps{2, 3}));
  EXPECT_EQ(kept_by(BestN(test::loss_of, false, 2), infos), (Steps{2, 3}));
}

TEST(Preservation, BestNTakesNaNForNoMetricAndInfinityForANumber) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto infos = with_losses({kNaN, kInfinity, 3, 4, 5});
  EXPECT_EQ(kept_by(BestN(test::loss_of, true, 2), infos), (Steps{0, 2, 3}));
  EXPECT_EQ(kept_by(BestN(test::loss_of, true, 2, false), infos), (Steps{2, 3}));
  EXPECT_EQ(kept_by(BestN(test::loss_of, false, 1, false), infos), (Steps{1}));
}

TEST(Preservation, LatestDurationKeepsTheNewestHoweverShortItIs) {
  EXPECT_EQ(kept_by(LatestDuration(0ms), seconds_apart(kFive)), (Steps{4}));
  EXPECT_EQ(kept_by(LatestDuration(1999ms), seconds_apart(kFive)), (Steps{3, 4}));
  EXPECT_EQ(kept_by(LatestDuration(2s), seconds_apart(kFive)), (Steps{2, 3, 4}));
  EXPECT_EQ(kept_by(LatestDuration(2s), {}), Steps());
  auto ages = seconds_apart({0, 1});
  ages[0].time_ns = std::numeric_limits<std::int64_t>::min();
  ages[1].time_ns = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(kept_by(LatestDuration(24h), ages), (Steps{1}));
  expect_refused([] { LatestDuration(-1ms); }, "duration is -1 ms");
}

TEST(Preservation, LatestDurationKeepsAllAfterTheFirstWhateverTheirStamps) {
  auto infos = seconds_apart({0, 1, 2, 3});
  infos[0].time_ns -= test::kHourNs;
  infos[2].time_ns = 0;
  EXPECT_EQ(kept_by(LatestDuration(5s), infos), (Steps{1, 2, 3}));
}

TEST(Preservation, AnyOfKeepsWhatOneOfItsPoliciesKeeps) {
  const auto odd = [](std::span<const CheckpointInfo> infos) {
    std::vector<bool> keep;
    for (const CheckpointInfo& info : infos) keep.push_back(info.step % 2 == 1);
    return keep;
  };
  EXPECT_EQ(kept_by(AnyOf({AnyOf({LatestN(1), CustomSteps({0})}), odd}), seconds_apart(kFive)),
            (Steps{0, 1, 3, 4}));
  expect_refused([] { AnyOf({}); }, "no policy is given: nothing would be kept");
  expect_refused([] { AnyOf({PreservationPolicy()}); }, "policy 1 of 1 is an empty function");
}

TEST(Preservation, JointPolicyOverAWholeRun) {  // B073
  Retention run(AnyOf({BestN(test::loss_of, true, 2), EveryNSteps(4), CustomSteps({0, 3})}));
  for (const CheckpointInfo& info : with_losses({5, 2, 4, 3, 7, 10, 11, 9, 8, 6, 12, 1}))
    run.save(info);
  EXPECT_EQ(run.steps(), (Steps{0, 1, 3, 4, 8, 11}));
}

// ---- the default ----

PreservationOptions keep(std::optional<std::int64_t> max_to_keep) {
  PreservationOptions options;
  options.max_to_keep = max_to_keep;
  return options;
}
PreservationOptions keep_best(std::optional<std::int64_t> max_to_keep, BestMode mode,
                              const char* metric = "loss") {
  PreservationOptions options = keep(max_to_keep);
  options.best_mode = mode;
  options.best_fn = [metric](const boost::json::object& metrics) {
    return metrics.at(metric).as_double();
  };
  return options;
}
void save_hourly(Retention& run, Step first, Step last) {
  for (Step step = first; step <= last; ++step)
    run.save(CheckpointInfo(step, test::kEpochNs + step * test::kHourNs));
}

TEST(DefaultPreservation, KeepsAllWithoutALimitAndNothingWithZero) {  // B016
  Retention all(keep(std::nullopt));
  save_hourly(all, 0, 4);
  EXPECT_EQ(all.steps(), kFive);
  Retention nothing(keep(0));
  for (Step step = 0; step < 5; ++step) {
    nothing.save(CheckpointInfo(step));
    EXPECT_EQ(nothing.steps(), Steps());
  }
}

TEST(DefaultPreservation, OtherKeepersApplyWhenTheLimitIsZero) {  // B017
  PreservationOptions options = keep(0);
  options.keep_period = 3;
  options.keep_time_interval = 5h;
  Retention run(options);
  save_hourly(run, 0, 8);
  EXPECT_EQ(run.steps(), (Steps{0, 3, 5, 6}));
}

TEST(DefaultPreservation, SpacesStepsInTimeAlsoAfterARestart) {  // B019, B020
  PreservationOptions options = keep(2);
  options.keep_time_interval = 3h;
  Retention run(options);
  save_hourly(run, 0, 9);
  EXPECT_EQ(run.steps(), (Steps{0, 3, 6, 8, 9}));
  Retention restarted(options);
  for (const Step step : run.steps())
    restarted.infos.emplace_back(step, test::kEpochNs + step * test::kHourNs);
  save_hourly(restarted, 10, 19);
  EXPECT_EQ(restarted.steps(), (Steps{0, 3, 6, 9, 12, 15, 18, 19}));
}

TEST(DefaultPreservation, TheLimitCountsWhatOtherKeepersKeepToo) {  // ..._keep_period
  PreservationOptions options = keep(2);
  options.keep_period = 4;
  Retention run(options);
  for (Step step = 0; step < 12; step += 2) run.save(CheckpointInfo(step));
  EXPECT_EQ(run.steps(), (Steps{0, 4, 8, 10}));
}

TEST(DefaultPreservation, KeepsTheBestAlsoAfterARestart) {  // B034
  const std::vector<double> losses = {5, 2, 4, 3, 7, 1, 10, 9, 7, 4};
  const std::vector<double> accuracies = {30, 85, 70, 80, 60, 100, 40, 45, 75, 75};
  for (const bool smallest : {true, false}) {
    const PreservationOptions options =
        smallest ? keep_best(2, BestMode::min) : keep_best(2, BestMode::max, "accuracy");
    std::vector<CheckpointInfo> listed;
    for (const std::size_t begin : {0u, 5u}) {
      Retention run(options);
      run.infos = listed;
      for (std::size_t i = begin; i < begin + 5; ++i) {
        auto metrics = test::metric("loss", losses[i]);
        metrics["accuracy"] = accuracies[i];
        run.save(CheckpointInfo(static_cast<Step>(i), 0, std::move(metrics)));
      }
      listed = run.infos;
    }
    EXPECT_EQ(test::select(listed, std::vector<bool>(listed.size(), true)), (Steps{1, 5}))
        << smallest;
    EXPECT_EQ(best_step(listed, options.best_fn, options.best_mode), 5);
  }
}

TEST(DefaultPreservation, SpacesTheBestInTimeBesides) {  // ..._time_interval_metrics
  PreservationOptions options = keep_best(3, BestMode::min);
  options.keep_time_interval = 3h;
  Retention run(options);
  for (Step step = 0; step < 10; ++step) {
    run.save(CheckpointInfo(step, test::kEpochNs + step * test::kHourNs,
                            test::metric("loss", static_cast<double>(step))));
  }
  EXPECT_EQ(run.steps(), (Steps{0, 1, 2, 3, 6, 9}));
}

TEST(DefaultPreservation, StepsWithoutMetricsAreNotRanked) {  // B035, test_save_best_some_metrics
  const PreservationOptions options = keep_best(2, BestMode::min);
  Retention run(options);
  for (const CheckpointInfo& info : with_losses({{}, {}, {}, {}, {}})) run.save(info);
  EXPECT_EQ(run.steps(), kFive);
  EXPECT_EQ(best_step(run.infos, options.best_fn, options.best_mode), std::nullopt);
  EXPECT_EQ(best_step(run.infos, nullptr), 4) << "without best_fn the latest";

  Retention some(keep_best(3, BestMode::min));
  for (const CheckpointInfo& info : with_losses({3, {}, 4, {}, 7, {}})) some.save(info);
  EXPECT_EQ(some.steps(), (Steps{0, 1, 2, 3, 4, 5}));
}

TEST(DefaultPreservation, NamesTheOptionThatIsWrong) {
  const auto build = [](auto change) {
    PreservationOptions options;
    change(options);
    return [options] { static_cast<void>(default_preservation(options)); };
  };
  expect_refused(build([](auto& o) { o.max_to_keep = -1; }),
                 "max_to_keep is -1, it must not be negative");
  expect_refused(build([](auto& o) { o.keep_period = 0; }),
                 "keep_period is 0, it must be at least 1");
  expect_refused(build([](auto& o) { o.keep_time_interval = -2s; }),
                 "keep_time_interval is -2000 ms");
}

TEST(BestStep, IsTheLatestOfEqualOnesAndNeverOneWithoutANumber) {
  const std::optional<double> none;
  const auto infos = with_losses({4, 2, 9, kNaN, 2, 9, none});
  EXPECT_EQ(best_step(infos, test::loss_of, BestMode::min), 4);
  EXPECT_EQ(best_step(infos, test::loss_of, BestMode::max), 5);
  EXPECT_EQ(best_step(with_losses({kNaN, none}), test::loss_of), std::nullopt);
  EXPECT_EQ(best_step({}, test::loss_of), std::nullopt);
  EXPECT_EQ(best_step({}, nullptr), std::nullopt);
  EXPECT_EQ(best_step(with_losses({-3, -1, -2}), test::loss_of), 1);
}

}  // namespace
}  // namespace cairn
