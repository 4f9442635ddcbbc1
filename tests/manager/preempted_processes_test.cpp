// The step that several processes save before they end: one for all, whoever has the notice.

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <thread>

#include "support/managers_of_processes.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using test::Process;
using ::testing::HasSubstr;
namespace asio = boost::asio;

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

// ---- on an engine's thread ----------------------------------------------------------------------

/// A training loop that is a coroutine on its manager's own engine. `at` is called before each
/// step.
asio::awaitable<Step> train_on(std::shared_ptr<CheckpointManager> manager,
                               std::function<void(Step)> at) {
  for (Step step = 0; step < 1'000'000; ++step) {
    at(step);
    const bool last = co_await manager->agree_on_preemption(step).result();
    EXPECT_FALSE(manager->should_save(step) && step > 0 && !last) << "what they agreed on is known";
    if (last) co_return step;
  }
  co_return -1;
}

/// What `call` returns on the engine's thread.
template <class Call>
auto on_strand(const CheckpointManager& manager, Call call) {
  const auto task = std::make_shared<std::packaged_task<decltype(call())()>>(std::move(call));
  auto result = task->get_future();
  asio::post(manager.engine()->executor(), [task] { (*task)(); });
  return result.get();
}

TEST_P(PreemptedProcesses, ACoroutineOnTheEngineWaitsForTheOthersWithoutItsThread) {
  const test::Shared<std::atomic<Step>> agreed;
  run(3, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.save_interval_steps = 1'000'000'000;
    auto manager = std::make_shared<CheckpointManager>(root(), given);
    EXPECT_TRUE(save(*manager, process, 0)) << "the first is saved anyhow";
    process.meet("open");
    const std::function<void(Step)> at = [manager, index = process.index](Step step) {
      if (index == 2 && step == 5) manager->notify_preemption();
    };
    const Step step =
        asio::co_spawn(manager->engine()->executor(), train_on(manager, at), asio::use_future)
            .get();
    EXPECT_GE(step, 5);
    Step none = 0;
    EXPECT_TRUE((*agreed).compare_exchange_strong(none, step) || none == step);
    const Part part(process, step);
    ExitSaveOptions exit;
    EXPECT_TRUE(manager->save_before_exit(step, part.tree(), exit).get());
    EXPECT_EQ(manager->restore().get().tree(), expected(step));
    manager->close().get();
  });
}

TEST_P(PreemptedProcesses, OnAnEnginesThreadBlockingIsRefusedAndNotAnsweredWithNo) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const auto refused = [&](const std::function<void()>& call) {
      const Error error = on_strand(manager, [&] { return error_of(call); });
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr("agree_on_preemption"));
    };
    refused([&] { static_cast<void>(manager.reached_preemption(0)); });
    EXPECT_TRUE(on_strand(manager, [&] { return manager.should_save(0); }))
        << "nobody has a notice";
    process.meet("open");
    manager.notify_preemption();
    // Until the other has proposed, too, nobody knows.
    if (process.index == 0) {
      refused([&] { static_cast<void>(manager.reached_preemption(1)); });
      refused([&] { static_cast<void>(manager.should_save(1)); });
    }
    process.meet("asked");
    EXPECT_TRUE(manager.agree_on_preemption(1).get());
    refused([&] { static_cast<void>(manager.reached_preemption(1)); });
    EXPECT_TRUE(on_strand(manager, [&] { return manager.should_save(1); })) << "it is known now";
    manager.close().get();
  });
}

TEST_P(PreemptedProcesses, AloneAnEnginesThreadMayAsk) {
  const auto alone = [&](unsigned) {
    CheckpointManager manager(root(), options());
    EXPECT_FALSE(on_strand(manager, [&] { return manager.reached_preemption(0); }));
    manager.notify_preemption();
    EXPECT_TRUE(manager.agree_on_preemption(1).get());
    EXPECT_TRUE(on_strand(manager, [&] { return manager.reached_preemption(1); }));
    EXPECT_FALSE(manager.agree_on_preemption(2).get());
  };
  EXPECT_EQ(test::run_forked(1, alone), std::vector<int>{0});
}

}  // namespace
}  // namespace cairn
