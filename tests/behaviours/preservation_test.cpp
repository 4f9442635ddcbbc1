// Behaviours taken over from Orbax. Each has a number, B001 and up, and one test suite of that
// name, in whichever file of this folder it fits: `ctest -N -R 'B[01][0-9][0-9]'` lists them,
// `ctest -R B079` runs one. The comment above a suite names Orbax's own test (google/orbax at
// 3ff7b24a, 0.12.4) and what is deliberately different.
//
// Here: preservation policies by themselves.

#include <cairn/manager/preservation_policy.h>
#include <gtest/gtest.h>

#include "support/policy_samples.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using test::expect_refused;
using test::kept_by;
using test::seconds_apart;
using test::Steps;

const Steps kFive = {0, 1, 2, 3, 4};
const Steps kUneven = {0, 1, 2, 4, 5, 8, 9, 13, 14, 25};

// test_latest_n_policy
TEST(B079, LatestNKeepsTheLastN) {
  const auto infos = seconds_apart(kFive);
  EXPECT_EQ(kept_by(preservation::LatestN(), infos), kFive);
  EXPECT_EQ(kept_by(preservation::LatestN(3), infos), (Steps{2, 3, 4}));
  EXPECT_EQ(kept_by(preservation::LatestN(15), infos), kFive);
}

// test_every_n_seconds_policy
TEST(B080, EveryNSecondsSpacesStepsByTheirTimes) {
  const auto infos = seconds_apart(kFive);
  EXPECT_EQ(kept_by(preservation::EveryNSeconds(1s), infos), kFive);
  EXPECT_EQ(kept_by(preservation::EveryNSeconds(3s), infos), (Steps{0, 3}));
  EXPECT_EQ(kept_by(preservation::EveryNSeconds(6s), infos), (Steps{0}));
}

// test_every_n_steps_closest_policy, test_every_zero_steps_closest_policy_raises_error; the latter
// at construction, where Orbax waits for the first save.
TEST(B082, EveryNStepsClosestKeepsTheStepNearestToEachMultiple) {
  const auto infos = seconds_apart(kUneven);
  EXPECT_EQ(kept_by(preservation::EveryNStepsClosest(1), seconds_apart(kFive)), kFive);
  EXPECT_EQ(kept_by(preservation::EveryNStepsClosest(3), seconds_apart({0, 1, 2, 4})),
            (Steps{0, 4}));
  EXPECT_EQ(kept_by(preservation::EveryNStepsClosest(3), infos), (Steps{0, 4, 5, 9, 13, 14, 25}));
  EXPECT_EQ(kept_by(preservation::EveryNStepsClosest(3, 3), infos), (Steps{13, 14, 25}));
  expect_refused([] { preservation::EveryNStepsClosest(0); }, "interval is 0");
}

// test_custom_steps_policy
TEST(B083, CustomStepsKeepsThoseThatAreThere) {
  const auto infos = seconds_apart(kFive);
  EXPECT_EQ(kept_by(preservation::CustomSteps({0, 2, 3}), infos), (Steps{0, 2, 3}));
  EXPECT_EQ(kept_by(preservation::CustomSteps({0, 1, 2, 3, 4}), infos), kFive);
  EXPECT_EQ(kept_by(preservation::CustomSteps({3, 14, 13}), infos), (Steps{3}));
  EXPECT_EQ(kept_by(preservation::CustomSteps({14, 13}), infos), Steps());
}

// test_latest_duration_policy. Ages are counted from the newest step, where Orbax counts from now:
// here a step 4 is just being saved, and it is always kept.
TEST(B085, LatestDurationKeepsTheFirstStepThatIsNotTooOldAndAllAfterIt) {
  std::vector<CheckpointInfo> infos;
  for (const std::int64_t age_hours : {30, 25, 23, 10, 0}) {
    infos.emplace_back(static_cast<Step>(infos.size()), test::kEpochNs - age_hours * test::kHourNs);
  }
  EXPECT_EQ(kept_by(preservation::LatestDuration(24h), infos), (Steps{2, 3, 4}));
  EXPECT_EQ(kept_by(preservation::LatestDuration(28h), infos), (Steps{1, 2, 3, 4}));
  EXPECT_EQ(kept_by(preservation::LatestDuration(5h), infos), (Steps{4}));
  EXPECT_EQ(kept_by(preservation::LatestDuration(100h), infos), kFive);
}

}  // namespace
}  // namespace cairn
