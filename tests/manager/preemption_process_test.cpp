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

TEST_P(PreemptedProcess, HasTheSignalHandlersItHadUnlessItAsksForOne) {
  const auto handler_of = [](int signal) {
    struct sigaction action {};
    // Of the numbers that threads keep to themselves nothing is known.
    return ::sigaction(signal, nullptr, &action) == 0 ? action.sa_handler : nullptr;
  };
  const auto train = [&](unsigned) {
    ASSERT_NE(std::signal(SIGTERM, SIG_DFL), SIG_ERR);
    std::vector<decltype(handler_of(0))> before;
    for (int signal = 1; signal < NSIG; ++signal) before.push_back(handler_of(signal));
    {
      CheckpointManager manager(root(), options());
      EXPECT_TRUE(manager.save(0, state(0)).get());
      manager.notify_preemption();
      EXPECT_TRUE(manager.reached_preemption(1));
      EXPECT_TRUE(manager.save_before_exit(1, state(1)).get());
    }
    EXPECT_EQ(handler_of(SIGTERM), SIG_DFL);
    for (int signal = 1; signal < NSIG; ++signal) {
      EXPECT_EQ(handler_of(signal), before[static_cast<std::size_t>(signal) - 1]) << signal;
    }
    handle_sigterm_as_preemption();
    EXPECT_NE(handler_of(SIGTERM), SIG_DFL);
  };
  EXPECT_EQ(test::run_forked(1, train), std::vector<int>{0});
}

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
