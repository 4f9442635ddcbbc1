// How a policy is applied: what it is shown, and what it cannot lose.

#include <cairn/manager/preservation_policy.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>

#include "support/policy_samples.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using test::seconds_apart;
using test::Steps;
using test::with_losses;
using ::testing::EndsWith;

Steps preserved(const PreservationPolicy& policy, const std::vector<CheckpointInfo>& infos,
                const PreservationRules& rules = {}) {
  const PreservationVerdict verdict = preserve(policy, infos, rules);
  EXPECT_FALSE(verdict.error) << verdict.error->what();
  return test::select(infos, verdict.keep);
}

std::vector<bool> keep_none(std::span<const CheckpointInfo> infos) {
  return std::vector<bool>(infos.size(), false);
}

TEST(Preserve, DoesWhatThePolicySays) {
  const auto infos = seconds_apart({0, 3, 7});
  EXPECT_EQ(preserved(preservation::LatestN(2), infos), (Steps{3, 7}));
  EXPECT_EQ(preserved(preservation::PreserveAll(), infos), (Steps{0, 3, 7}));
  EXPECT_EQ(preserved(preservation::LatestN(2), {}), Steps());
}

TEST(Preserve, KeepsTheNewestStepWhateverAPolicySays) {
  const auto infos = seconds_apart({0, 3, 7});
  EXPECT_EQ(preserved(keep_none, infos), (Steps{7}));
  EXPECT_EQ(preserved(preservation::CustomSteps({0}), infos), (Steps{0, 7}));
}

TEST(Preserve, LosesTheNewestStepOnlyToAnExplicitZero) {
  PreservationOptions options;
  options.max_to_keep = 0;
  const auto infos = seconds_apart({0, 3, 7});
  const PreservationPolicy policy = default_preservation(options);
  EXPECT_EQ(preserved(policy, infos, PreservationRules(options)), Steps());
  options.keep_latest = true;
  EXPECT_EQ(preserved(policy, infos, PreservationRules(options)), (Steps{7}));
}

TEST(Preserve, LosesTheNewestStepToBetterOnesUnlessKeepLatest) {
  PreservationOptions options;
  options.best_fn = test::loss_of;
  options.best_mode = BestMode::min;
  options.max_to_keep = 1;
  const auto infos = with_losses({5, 1, 3});
  EXPECT_EQ(preserved(default_preservation(options), infos, PreservationRules(options)), Steps{1});
  options.keep_latest = true;
  EXPECT_EQ(preserved(default_preservation(options), infos, PreservationRules(options)),
            (Steps{1, 2}));
}

TEST(Preserve, ARankingThatKeepsNothingLosesNotTheNewestStep) {
  PreservationOptions options;
  options.best_fn = test::loss_of;
  options.max_to_keep = 1;
  options.keep_checkpoints_without_metrics = false;
  const auto infos = with_losses({{}, {}, {}});
  EXPECT_EQ(preserved(default_preservation(options), infos, PreservationRules(options)), Steps{2});
}

TEST(Preserve, KeepsDamagedStepsAndLetsThemTakeNobodysPlace) {
  auto infos = seconds_apart({0, 1, 2, 3});
  infos[1].damaged = true;
  infos[3].damaged = true;
  EXPECT_EQ(preserved(preservation::LatestN(1), infos), (Steps{1, 2, 3}))
      << "2 is the newest good one";
  EXPECT_EQ(preserved(keep_none, infos), (Steps{1, 2, 3}));
  infos[0].damaged = infos[2].damaged = true;
  EXPECT_EQ(preserved(keep_none, infos), (Steps{0, 1, 2, 3}));
  PreservationRules rules;
  rules.keep_nothing = true;
  EXPECT_EQ(preserved(keep_none, infos, rules), (Steps{0, 1, 2, 3}));
}

TEST(Preserve, ShowsThePolicyTimesThatGrow) {
  std::vector<std::int64_t> shown;
  const auto look = [&shown](std::span<const CheckpointInfo> infos) {
    shown.clear();
    for (const CheckpointInfo& info : infos) shown.push_back(info.time_ns);
    return std::vector<bool>(infos.size(), true);
  };
  auto infos = seconds_apart({0, 1, 2, 3, 4});
  const std::vector<std::int64_t> times = {50, 20, 60, 10, 70};
  for (std::size_t i = 0; i < infos.size(); ++i) infos[i].time_ns = times[i];
  EXPECT_EQ(preserved(look, infos).size(), 5u);
  EXPECT_EQ(shown, (std::vector<std::int64_t>{50, 50, 60, 60, 70}));
  EXPECT_EQ(infos[1].time_ns, 20) << "the caller's are left alone";
  infos[0].damaged = true;  // nobody knows when that one was saved
  EXPECT_EQ(preserved(look, infos).size(), 5u);
  EXPECT_EQ(shown, (std::vector<std::int64_t>{20, 60, 60, 70}));
  clamp_times(infos);
  EXPECT_EQ(infos[1].time_ns, 50);
  clamp_times({});
}

TEST(Preserve, AgesAreCountedFromTheNewestStepInGrownTime) {
  auto infos = seconds_apart({0, 1, 2});
  infos[0].time_ns = test::kEpochNs;
  infos[1].time_ns = test::kEpochNs + 30 * test::kHourNs;
  infos[2].time_ns = 0;  // a machine that started with a clock at 1970
  EXPECT_EQ(preserved(preservation::LatestDuration(24h), infos), (Steps{1, 2}));
}

// ---- policies that fail ----

void expect_all_kept(const PreservationPolicy& policy, const std::string& error) {
  auto infos = seconds_apart({0, 1, 2});
  infos[1].time_ns = 0;
  PreservationRules rules;
  rules.keep_nothing = true;
  const PreservationVerdict verdict = preserve(policy, infos, rules);
  EXPECT_EQ(verdict.keep, std::vector<bool>(3, true));
  ASSERT_TRUE(verdict.error);
  EXPECT_EQ(verdict.error->code(), ErrorCode::invalid_argument);
  EXPECT_EQ(verdict.error->what(), error + ". Every step is kept until this is mended");
}
TEST(Preserve, KeepsEverythingWhenThePolicyThrows) {
  expect_all_kept(
      [](std::span<const CheckpointInfo>) -> std::vector<bool> {
        throw std::out_of_range("no loss today");
      },
      "preservation policy: it threw: no loss today");
  expect_all_kept([](std::span<const CheckpointInfo>) -> std::vector<bool> { throw 7; },  // NOLINT
                  "preservation policy: it threw an exception that is not a std::exception");
  expect_all_kept(PreservationPolicy(), "preservation policy: it is an empty function");
  expect_all_kept(
      [](std::span<const CheckpointInfo>) -> std::vector<bool> {
        ErrorContext context;
        context.operation = "rank";
        context.remedy = "Rank again";
        throw Error(ErrorCode::invalid_argument, "no rank", context);
      },
      "rank: no rank. Rank again");
}

TEST(Preserve, KeepsEverythingWhenAMetricIsNotThere) {
  PreservationOptions options;
  options.max_to_keep = 1;
  options.best_fn = test::loss_of;
  std::vector<CheckpointInfo> infos = with_losses({3, 2, 1});
  infos[1].metrics = test::metric("accuracy", 1);
  const PreservationVerdict verdict =
      preserve(default_preservation(options), infos, PreservationRules(options));
  EXPECT_EQ(verdict.keep, std::vector<bool>(3, true));
  ASSERT_TRUE(verdict.error);
  EXPECT_THAT(verdict.error->what(),
              EndsWith("; step 1 has the metrics \"accuracy\". Every step is "
                       "kept until this is mended"));
}

TEST(Preserve, NamesTenMetricsAtMostWhereOneIsNotThere) {
  boost::json::object many;
  for (int i = 0; i < 11; ++i) many["m" + std::to_string(i)] = i;
  std::vector<CheckpointInfo> infos = with_losses({3, 2});
  const preservation::BestN best(test::loss_of, true, 1);
  const auto refusal_of = [&](boost::json::object metrics) {
    infos[0].metrics = std::move(metrics);
    const PreservationVerdict verdict = preserve(best, infos);
    return verdict.error ? verdict.error->reason() : std::string();
  };
  EXPECT_THAT(refusal_of(many), EndsWith("\"m8\", \"m9\", ..."));
  many.erase("m10");
  EXPECT_THAT(refusal_of(many), EndsWith("\"m8\", \"m9\""));
  EXPECT_THAT(refusal_of({}), EndsWith("step 0 has the metrics {}"));
  EXPECT_THAT(refusal_of({{"a\nb", 1}}), EndsWith("the metrics \"a\\nb\""));
}

TEST(Preserve, KeepsEverythingWhenThePolicyMiscounts) {
  const auto short_one = [](std::span<const CheckpointInfo>) {
    return std::vector<bool>(2, false);
  };
  expect_all_kept(short_one, "preservation policy: it gave 2 answers for 3 steps");
  expect_all_kept(preservation::AnyOf({preservation::LatestN(0), short_one}),
                  "preservation::AnyOf: policy 2 of 2 gave 2 answers for 3 steps");
}

TEST(Preserve, KeepsEverythingWhenStepsDoNotAscend) {
  for (const Steps& steps : {Steps{0, 2, 1}, Steps{0, 1, 1}}) {
    const PreservationVerdict verdict = preserve(keep_none, seconds_apart(steps));
    EXPECT_EQ(verdict.keep, std::vector<bool>(3, true));
    EXPECT_TRUE(verdict.error);
  }
}

}  // namespace
}  // namespace cairn
