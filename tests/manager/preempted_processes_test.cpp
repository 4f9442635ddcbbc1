// The step that several processes save before they end: one for all, whoever has the notice.

#include <atomic>
#include <memory>
#include <thread>

#include "support/managers_of_processes.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using test::Process;

class PreemptedProcesses : public test::ProcessesTest {
 protected:
  static constexpr Step kLast = 1'000'000;
  /// Asks about every `each`-th step until one is the one; `at` is called before each.
  static Step train(const CheckpointManager& manager, const std::function<void(Step)>& at,
                    Step each = 1) {
    for (Step step = 0; step < kLast; step += each) {
      at(step);
      if (manager.reached_preemption(step)) return step;
    }
    ADD_FAILURE() << "never asked to save";
    return -1;
  }
};
CAIRN_ON_EVERY_BACKEND(PreemptedProcesses);

TEST_P(PreemptedProcesses, TheNoticeOfOneIsTheStepOfAllAndTheySaveIt) {
  const test::Shared<std::atomic<Step>> agreed;
  run(3, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    process.meet("open");
    const Step step = train(manager, [&](Step at) {
      if (process.index == 2 && at == 5) manager.notify_preemption();
    });
    Step none = 0;
    EXPECT_TRUE((*agreed).compare_exchange_strong(none, step) || none == step);
    EXPECT_GE(step, 5);
    EXPECT_TRUE(manager.reached_preemption(step)) << "asked again";
    EXPECT_FALSE(manager.reached_preemption(step + 1));
    const Part part(process, step);
    ExitSaveOptions exit;
    EXPECT_TRUE(manager.save_before_exit(step, part.tree(), exit).get());
    EXPECT_EQ(manager.restore().get().tree(), expected(step));
    manager.close().get();
  });
}

TEST_P(PreemptedProcesses, ProcessesThatAreAtDifferentStepsAgreeOnOneThatNoneHasPassed) {
  const test::Shared<std::atomic<Step>> agreed;
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    // One is far ahead, and saves only now and then.
    const bool ahead = process.index == 0;
    process.meet("open");
    const Step step = train(
        manager,
        [&](Step at) {
          if (ahead && at == 700) process.meet("ahead");
          if (!ahead && at == 100) {
            process.meet("ahead");
            manager.notify_preemption();
          }
        },
        10);
    EXPECT_GE(step, 700);
    Step none = 0;
    EXPECT_TRUE((*agreed).compare_exchange_strong(none, step) || none == step);
    manager.close().get();
  });
}

TEST_P(PreemptedProcesses, NoticesEverywhereAreOneNotice) {
  const test::Shared<std::atomic<Step>> agreed;
  run(3, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    process.meet("open");
    manager.notify_preemption();
    const Step step = train(manager, [](Step) {});
    Step none = -1;
    (*agreed).compare_exchange_strong(none, step);
    EXPECT_EQ(step, 0);
    EXPECT_TRUE(manager.should_save(step));
    manager.close().get();
  });
}

TEST_P(PreemptedProcesses, WithoutANoticeNobodyWaits) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    // The other does not ask at all.
    if (process.index == 0) {
      EXPECT_FALSE(manager.reached_preemption(0));
      EXPECT_FALSE(manager.reached_preemption(1));
    }
    manager.close().get();
  });
}

TEST_P(PreemptedProcesses, WhoCannotAgreeInTimeSavesNothing) {
  run(2, [&](const Process& process) {
    auto manager = std::make_unique<CheckpointManager>(root(), options_of(process));
    process.meet("open");
    if (process.index == 1) {
      // It ends, as far as saving goes.
      manager->close().get();
      manager.reset();
      process.meet("closed");
      process.meet("given up");
      return;
    }
    process.meet("closed");
    manager->notify_preemption();
    std::atomic<bool> over{false};
    std::thread waits([&] {
      EXPECT_FALSE(manager->reached_preemption(3));
      over = true;
    });
    while (!over) {
      process.clock->advance(1s);
      std::this_thread::yield();
    }
    waits.join();
    process.meet("given up");
    manager->close().get();
  });
}

}  // namespace
}  // namespace cairn
