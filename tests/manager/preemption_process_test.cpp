// A real SIGTERM in a real process: the step that it is at is saved, and the process leaves.

#include <cairn/manager/preemption.h>

#include "support/forked_processes.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

class PreemptedProcess : public test::ManagerTest {};
CAIRN_ON_EVERY_BACKEND(PreemptedProcess);

TEST_P(PreemptedProcess, SavesTheStepItIsAtAndLeaves) {
  constexpr Step kSignalled = 7;
  const auto train = [&](unsigned) {
    handle_sigterm_as_preemption();
    const auto faults = std::make_shared<FaultPlan>();
    test::EngineSettings settings;
    settings.faults = faults;
    ManagerOptions given = options(settings);
    given.save_interval_steps = 5;
    given.max_to_keep = 1;
    CheckpointManager manager(root(), given);
    faults->hold(FaultPlan::only({IoOp::remove_directory}));  // deleting takes for ever
    for (Step step = 0;; ++step) {
      ASSERT_LE(step, kSignalled);
      if (step == kSignalled) std::raise(SIGTERM);
      if (manager.reached_preemption(step)) {
        EXPECT_TRUE(manager.save_before_exit(step, state(step)).get());
        break;
      }
      static_cast<void>(manager.save(step, state(step)).get());
    }
    faults->release();
  };
  EXPECT_EQ(test::run_forked(1, train), std::vector<int>{0});
  const auto look = [&](unsigned) {
    CheckpointManager manager(root(), options());
    EXPECT_EQ(manager.latest_step(), kSignalled);
    EXPECT_EQ(manager.restore().get().tree(), state(kSignalled));
  };
  EXPECT_EQ(test::run_forked(1, look), std::vector<int>{0});
}

}  // namespace
}  // namespace cairn
