// Behaviours: the names of steps.

#include <cairn/manager/step_name.h>
#include <gtest/gtest.h>

#include "support/policy_samples.h"

namespace cairn {
namespace {

// test_step_from_checkpoint_name, test_step_from_checkpoint_name_invalid
TEST(B091, StepFromCheckpointNameTakesAnyStandardName) {
  EXPECT_EQ(step_from_checkpoint_name("0"), 0);
  EXPECT_EQ(step_from_checkpoint_name("0000"), 0);
  EXPECT_EQ(step_from_checkpoint_name("1000"), 1000);
  EXPECT_EQ(step_from_checkpoint_name("checkpoint_0"), 0);
  EXPECT_EQ(step_from_checkpoint_name("checkpoint_003400"), 3400);
  EXPECT_EQ(step_from_checkpoint_name("foo_bar_1000"), 1000);
  EXPECT_EQ(step_from_checkpoint_name("0000.orbax-checkpoint-tmp-12323232"), 0);
  EXPECT_EQ(step_from_checkpoint_name("foobar_000505.orbax-checkpoint-tmp-13124"), 505);
}

TEST(B091, StepFromCheckpointNameRefusesWhatIsNone) {
  for (const std::string name :
       {"abc", "checkpoint_", "checkpoint_1010_", "_191", ".orbax-checkpoint-tmp-191913",
        "0.orbax-checkpoint-", "checkpoint_.orbax-checkpoint-tmp-191913", "", "_", "-1", "step_-1",
        "step_1 ", "9223372036854775808"}) {
    test::expect_refused([&] { static_cast<void>(step_from_checkpoint_name(name)); },
                         "'" + name + "' is not a step's name");
  }
}

}  // namespace
}  // namespace cairn
