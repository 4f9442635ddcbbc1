// What the managers of several processes make of one that fails, hangs or dies: nothing of the
// step, an error that names it, and a root that the others go on with.

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <csignal>
#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "support/log_records.h"
#include "support/managers_of_processes.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;
using test::killed_by;
using test::Process;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class FailingProcesses : public test::ProcessesTest {
 protected:
  /// Of a manager whose disk fails as `plan` says.
  ManagerOptions faulty(const Process& process, std::shared_ptr<FaultPlan> plan) {
    test::EngineSettings settings;
    settings.faults = std::move(plan);
    return options_of(process, std::move(settings));
  }
  /// One step of two processes, in one of which `faults` happen: both get `code`, nothing is left,
  /// and the next save succeeds.
  void expect_failure(ProcessIndex failing, const std::function<void(FaultPlan&)>& faults,
                      ErrorCode code) {
    run(2, [&](const Process& process) {
      const auto plan = std::make_shared<FaultPlan>();
      CheckpointManager manager(root(), faulty(process, plan));
      if (process.index == failing) faults(*plan);
      const Part part(process, 0);
      const Error error = error_of(manager.save(0, part.tree()));
      EXPECT_EQ(error.code(), code) << error.what();
      const std::string name = "process " + std::to_string(failing) + " of 2 failed";
      if (process.index != failing) {
        EXPECT_THAT(error.what(), HasSubstr(name));
      }
      EXPECT_THAT(manager.all_steps(), IsEmpty());
      EXPECT_EQ(error_of(manager.restore()).code(), ErrorCode::not_found);
      if (process.index == 0) {
        EXPECT_THAT(entries(), ElementsAre(".cairn.lock"));
      }
      plan->clear();
      EXPECT_TRUE(save(manager, process, 0)) << "the next try";
      EXPECT_EQ(manager.restore(0).get().tree(), expected(0));
    });
    std::filesystem::remove_all(root());
  }
};
CAIRN_ON_EVERY_BACKEND(FailingProcesses);

// ---- one that fails -----------------------------------------------------------------------------

TEST_P(FailingProcesses, ADiskThatIsFullForOneOfThem) {
  const auto full = [](FaultPlan& plan) {
    plan.fail(FaultPlan::only({IoOp::write}), 1, ENOSPC, FaultPlan::kForever);
  };
  expect_failure(1, full, ErrorCode::no_space);
  expect_failure(0, full, ErrorCode::no_space);
}

TEST_P(FailingProcesses, ASyncThatFails) {
  const auto broken = [](FaultPlan& plan) {
    plan.fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  };
  expect_failure(1, broken, ErrorCode::io_error);
  expect_failure(0, broken, ErrorCode::io_error);
}

TEST_P(FailingProcesses, APrimaryThatCannotMakeTheDirectory) {
  const auto broken = [](FaultPlan& plan) {
    plan.fail(FaultPlan::only({IoOp::make_directory}), 1, EDQUOT);
  };
  expect_failure(0, broken, ErrorCode::no_space);
}

TEST_P(FailingProcesses, APrimaryThatCannotCommit) {
  const auto broken = [](FaultPlan& plan) { plan.fail(FaultPlan::only({IoOp::rename}), 1, EIO); };
  expect_failure(0, broken, ErrorCode::io_error);
}

TEST_P(FailingProcesses, EveryCallOfTheOtherMayFail) {
  const test::Shared<std::atomic<bool>> clean;
  run(2, [&](const Process& process) {
    const auto plan = std::make_shared<FaultPlan>();
    CheckpointManager manager(root(), faulty(process, plan));
    // The n-th call in process 1 fails, until a run is clean.
    for (Step n = 1; !*clean; ++n) {
      process.meet("begin " + std::to_string(n));
      if (process.index == 1) plan->fail(FaultPlan::any(), static_cast<std::uint64_t>(n), EIO);
      const Part part(process, n);
      const SaveFuture save = manager.save(n, part.tree());
      bool saved = false;
      try {
        saved = static_cast<bool>(save.get());
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::io_error) << error.what();
      }
      if (process.index == 1) *clean = plan->injected() == 0;
      plan->clear();
      process.meet("end " + std::to_string(n));
      EXPECT_EQ(std::filesystem::exists(root() + "/" + std::to_string(n)), saved);
      EXPECT_TRUE(saved || !*clean);
      if (saved) {
        EXPECT_EQ(manager.restore(n).get().tree(), expected(n));
      }
    }
  });
  for (const std::string& name : entries()) EXPECT_THAT(name, Not(HasSubstr("tmp")));
}

TEST_P(FailingProcesses, OneThatWaitsForAnotherHasNotStoppedMoving) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const Part part(process, 0);
    if (process.index == 1) process.meet("late");
    const SaveFuture save = manager.save(0, part.tree());
    if (process.index == 0) {
      for (int turn = 0; turn < 2; ++turn) {  // its deadlines run by then
        std::promise<void> ran;
        boost::asio::post(manager.engine()->executor(), [&] { ran.set_value(); });
        ran.get_future().get();
      }
      process.clock->advance(ManagerOptions().no_progress_timeout + 1s);
      process.meet("late");
    }
    EXPECT_TRUE(save.get());
  });
}

TEST_P(FailingProcesses, OneThatSkipsAStepThatTheOthersSaveIsNotWaitedFor) {
  for (const ProcessIndex skips : {0u, 1u}) {
    run(3, [&](const Process& process) {
      ManagerOptions given = options_of(process);
      given.should_save_fn = [&](Step step, std::optional<Step>) {
        return step != 1 || process.index != skips;
      };
      CheckpointManager manager(root(), given);
      EXPECT_TRUE(save(manager, process, 0));
      const Part part(process, 1);
      const SaveFuture one = manager.save(1, part.tree());
      if (process.index == skips) {
        EXPECT_EQ(one.get().outcome, SaveOutcome::skipped_by_policy);
      } else {
        const Error error = error_of(one);
        EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
        const std::string who = "process " + std::to_string(skips) + " of 3";
        EXPECT_THAT(error.what(), HasSubstr(who + " failed: it skipped step 1"));
        EXPECT_THAT(error.what(), HasSubstr("skipped_by_policy"));
        EXPECT_THAT(error.what(), HasSubstr("should_save()"));
      }
      EXPECT_TRUE(save(manager, process, 2)) << "what all save";
      EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0, 2}));
      process.meet("looked");
      manager.close().get();
    });
    std::filesystem::remove_all(root());
  }
}

// ---- a deletion that fails ----------------------------------------------------------------------

TEST_P(FailingProcesses, AStepWhoseRemovalFailsHalfwayIsGoneForAll) {
  run(2, [&](const Process& process) {
    const auto plan = std::make_shared<FaultPlan>();
    CheckpointManager manager(root(), faulty(process, plan));
    for (Step step = 0; step < 2; ++step) EXPECT_TRUE(save(manager, process, step));
    if (process.index == 0) plan->fail(FaultPlan::only({IoOp::remove_directory}), 1, EIO);
    const Error error = error_of(manager.delete_step(0));
    EXPECT_EQ(error.code(), ErrorCode::io_error) << error.what();
    if (process.index == 1) {
      EXPECT_THAT(error.what(), HasSubstr("delete step 0"));
      EXPECT_THAT(error.what(), HasSubstr("process 0 of 2 failed"));
    }
    EXPECT_EQ(manager.all_steps(), std::vector<Step>{1}) << "it has lost its name";
    EXPECT_EQ(error_of(manager.delete_step(0)).code(), ErrorCode::not_found);
    process.meet("looked");
    plan->clear();
    EXPECT_TRUE(save(manager, process, 2));
    EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{1, 2}));
  });
}

TEST_P(FailingProcesses, AStepThatCannotBeDeletedStaysForAll) {
  run(2, [&](const Process& process) {
    const auto plan = std::make_shared<FaultPlan>();
    CheckpointManager manager(root(), faulty(process, plan));
    for (Step step = 0; step < 2; ++step) EXPECT_TRUE(save(manager, process, step));
    if (process.index == 0) plan->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
    const Error error = error_of(manager.delete_step(0));
    EXPECT_EQ(error.code(), ErrorCode::io_error) << error.what();
    EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0, 1}));
    EXPECT_EQ(manager.restore(0).get().tree(), expected(0));
    process.meet("looked");
    manager.delete_step(0).get();
    EXPECT_EQ(manager.all_steps(), std::vector<Step>{1});
  });
}

TEST_P(FailingProcesses, ADeletionPastItsDeadlineEndsForAllAsForThePrimary) {
  run(2, [&](const Process& process) {
    const auto plan = std::make_shared<FaultPlan>();
    ManagerOptions limited = faulty(process, plan);
    limited.async_timeout = 60s;
    CheckpointManager manager(root(), limited);
    for (Step step = 0; step < 2; ++step) EXPECT_TRUE(save(manager, process, step));
    manager.wait_until_finished().get();
    if (process.index == 0) plan->hold(FaultPlan::only({IoOp::rename}));
    Future<void> deleted = manager.delete_step(0);
    if (process.index == 0) plan->wait_until_held(1);
    process.meet("held");
    process.clock->advance(61s);
    const Error error = error_of(std::move(deleted));
    EXPECT_EQ(error.code(), ErrorCode::timed_out) << error.what();
    EXPECT_EQ(manager.all_steps(), std::vector<Step>{1}) << "nobody knows whether it is there";
    process.meet("looked");
    plan->release();
    EXPECT_TRUE(save(manager, process, 2));
    EXPECT_EQ(manager.all_steps(), (std::vector<Step>{1, 2}));
    EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{1, 2}));
  });
}

TEST_P(FailingProcesses, AStepThatOneOfThemRefusesToDeleteStaysForAll) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    EXPECT_TRUE(save(manager, process, 0));
    if (process.index == 1) manager.close().get();
    const Error error = error_of(manager.delete_step(0));
    EXPECT_EQ(error.code(), ErrorCode::closed) << error.what();
    if (process.index == 0) {
      EXPECT_THAT(error.what(), HasSubstr("process 1 of 2 failed"));
      EXPECT_EQ(manager.all_steps(), std::vector<Step>{0});
    }
  });
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0"));
}

// ---- what they do not do alike ------------------------------------------------------------------

TEST_P(FailingProcesses, TreesThatDifferAreRefusedByName) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const bool other = process.index == 1;
    const auto refusal = [&](Tree mine) {
      const Error error = error_of(manager.save(0, std::move(mine)));
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return std::string(error.what());
    };
    const std::string name = other ? "c" : "b";
    EXPECT_THAT(refusal(Tree(Dict{{"a", Tree(std::int64_t{1})}, {name, Tree(std::int64_t{2})}})),
                AllOf(HasSubstr("process 1 saves another tree"), HasSubstr("b")));
    Dict more{{"a", Tree(std::int64_t{1})}};
    if (other) more["b"] = Tree(std::int64_t{2});
    EXPECT_THAT(refusal(Tree(more)), HasSubstr("2 arrays instead of 1"));
    const DType dtype = other ? DType::float32 : DType::float64;
    EXPECT_THAT(refusal(Tree(Dict{{"a", Tree(Array(dtype, {4}))}})), HasSubstr("dtype"));
    std::vector<Tree> one(1, Tree(std::int64_t{1}));
    Tree kind = other ? Tree(Tuple(one)) : Tree(List(one));
    EXPECT_THAT(refusal(Tree(Dict{{"a", std::move(kind)}})),
                HasSubstr("kinds of leaves or containers"));
  });
  EXPECT_THAT(entries(), IsEmpty());
}

TEST_P(FailingProcesses, RowsThatNobodyHasAreMissed) {
  run(2, [&](const Process& process) {
    CheckpointManager manager(root(), options_of(process));
    const Array array = whole(0);
    const Error error =
        error_of(manager.save(0, Tree(Dict{{"w", Tree(rows_of(array, 0, process.count))}})));
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("no process has the elements of 1 of 2 chunks"));
  });
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock"));
}

TEST_P(FailingProcesses, ACancelledSaveIsCancelledEverywhere) {
  run(2, [&](const Process& process) {
    const auto plan = std::make_shared<FaultPlan>();
    CheckpointManager manager(root(), faulty(process, plan));
    const Part part(process, 0);
    if (process.index == 0) plan->hold(FaultPlan::only({IoOp::sync_data}));
    SaveFuture save = manager.save(0, part.tree());
    if (process.index == 0) plan->wait_until_held(1);
    process.meet("under way");
    // The other waits for the held one's data; past that it would be too late to cancel.
    if (process.index == 1) {
      save.cancel();
      EXPECT_EQ(error_of(save).code(), ErrorCode::cancelled);
    }
    process.meet("cancelled");
    if (process.index == 0) {
      plan->release();
      EXPECT_EQ(error_of(save).code(), ErrorCode::cancelled);
    }
    EXPECT_TRUE(this->save(manager, process, 0)) << "the next try";
  });
}

// ---- one that hangs -----------------------------------------------------------------------------

TEST_P(FailingProcesses, OneThatDoesNotComeIsNamedWhenTheTimeIsUp) {
  run(3, [&](const Process& process) {
    ManagerOptions given = options_of(process);
    given.async_timeout = 60s;
    given.barrier_sync_key_prefix = "train";
    CheckpointManager manager(root(), given);
    process.meet("open");
    if (process.index != 2) {
      const Part part(process, 0);
      const SaveFuture save = manager.save(0, part.tree());
      process.meet("some have called");
      // As often as it takes: the wait may not have begun.
      while (process.index == 0 && !save.ready()) {
        process.clock->advance(61s);
        std::this_thread::yield();
      }
      const Error error = error_of(save);
      EXPECT_EQ(error.code(), ErrorCode::timed_out);
      EXPECT_THAT(error.what(), AnyOf(HasSubstr("2 of 3"), HasSubstr("async_timeout")));
    } else {
      process.meet("some have called");
    }
    process.meet("over");
    // Who comes late learns it at once.
    if (process.index == 2) {
      const Part part(process, 0);
      const Error error = error_of(manager.save(0, part.tree()));
      EXPECT_EQ(error.code(), ErrorCode::timed_out);
    }
    process.meet("late");
    EXPECT_TRUE(save(manager, process, 1)) << "the next save";
  });
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "1"));
}

// ---- one that dies ------------------------------------------------------------------------------

TEST_P(FailingProcesses, OneThatDiesIsNamedAndTheOthersGoOnWithoutIt) {
  const auto body = [&](const Process& process) {
    ManagerOptions given = options_of(process);
    if (process.index == 2) {
      // Everything of its own is written.
      given.post_finalization_callback = [](Step step) {
        if (step == 1) std::raise(SIGKILL);
      };
    }
    {
      CheckpointManager manager(root(), given);
      EXPECT_TRUE(save(manager, process, 0));
      const Part part(process, 1);
      const Error error = error_of(manager.save(1, part.tree()));
      EXPECT_EQ(error.code(), ErrorCode::io_error);
      EXPECT_THAT(error.what(), HasSubstr("process 2 of 3"));
      EXPECT_EQ(manager.all_steps(), std::vector<Step>{0});
    }
    Process left = process;
    left.count = 2;
    ManagerOptions two = options_of(process);
    two.active_processes = {0, 1};
    CheckpointManager manager(root(), two);
    EXPECT_EQ(manager.restore().get().tree(), expected(0));
    EXPECT_TRUE(save(manager, left, 1));
    EXPECT_EQ(manager.restore().get().tree(), expected(1));
    manager.close().get();
    process.meet("the end of two", {0, 1});
  };
  run(3, body, {0, 0, killed_by(SIGKILL)});
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1"));
}

TEST_P(FailingProcesses, APrimaryThatDiesLeavesATemporaryDirectoryThatTheNextRemoves) {
  const auto body = [&](const Process& process) {
    ManagerOptions given = options_of(process);
    if (process.index == 0) {
      given.post_finalization_callback = [](Step step) {
        if (step == 1) std::raise(SIGKILL);
      };
    }
    CheckpointManager manager(root(), given);
    EXPECT_TRUE(save(manager, process, 0));
    const Part part(process, 1);
    const Error error = error_of(manager.save(1, part.tree()));
    EXPECT_THAT(error.code(), AnyOf(ErrorCode::io_error, ErrorCode::closed));
    EXPECT_THAT(error.what(), HasSubstr("process 0 of 2"));
    EXPECT_EQ(manager.all_steps(), std::vector<Step>{0});
  };
  run(2, body, {killed_by(SIGKILL), 0});
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", HasSubstr("tmp")));
  look([&](CheckpointManager& manager) {
    EXPECT_EQ(manager.restore().get().tree(), expected(0));
    EXPECT_TRUE(manager.save(1, state(1)).get());
  });
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1"));
}

TEST_P(FailingProcesses, APrimaryThatDiesAfterItsRenameLeavesTheOutcomeUnknown) {
  const auto body = [&](const Process& process) {
    const auto plan = std::make_shared<FaultPlan>();
    CheckpointManager manager(root(), faulty(process, plan));
    EXPECT_TRUE(save(manager, process, 0));
    process.meet("first");
    if (process.index == 0) {
      // The sync of the root, once the step has its name.
      plan->hold([&](const engine::IoRequest& request) {
        return request.op == IoOp::sync_all && std::filesystem::exists(root() + "/1");
      });
    }
    const Part part(process, 1);
    const SaveFuture save = manager.save(1, part.tree());
    if (process.index == 0) {
      plan->wait_until_held(1);
      std::raise(SIGKILL);
    }
    const Error error = error_of(save);
    EXPECT_EQ(error.code(), ErrorCode::commit_unknown) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("reload"));
    manager.reload();
    EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0, 1}));
  };
  run(2, body, {killed_by(SIGKILL), 0});
  look(
      [&](CheckpointManager& manager) { EXPECT_EQ(manager.restore(1).get().tree(), expected(1)); });
}

TEST_P(FailingProcesses, ARestoreThatFailsInOneHasOneRecordInEach) {
  run(2, [&](const Process& process) {
    const auto plan = std::make_shared<FaultPlan>();
    const auto records = std::make_shared<test::LogRecords>();
    ManagerOptions given = faulty(process, plan);
    given.logger = records;
    CheckpointManager manager(root(), given);
    EXPECT_TRUE(save(manager, process, 0));
    if (process.index == 1) {
      plan->fail(FaultPlan::only({IoOp::read}), 1, EIO, FaultPlan::kForever);
    }
    EXPECT_EQ(error_of(manager.restore(0)).code(), ErrorCode::io_error);
    const std::vector<LogRecord> failed = records->of("restore");
    EXPECT_EQ(failed.size(), 1u) << records->text();
    if (!failed.empty()) {
      EXPECT_EQ(failed.front().level, LogLevel::error);
      EXPECT_EQ(failed.front().step, 0);
    }
    plan->clear();
    EXPECT_EQ(manager.restore(0).get().tree(), expected(0));
    EXPECT_EQ(records->of("restore").size(), 2u) << records->text();
  });
}

TEST_P(FailingProcesses, ARootThatOneCannotOpenIsOpenForNone) {
  run(3, [&](const Process& process) {
    for (const bool shared : {true, false}) {
      const auto plan = std::make_shared<FaultPlan>();
      ManagerOptions given = faulty(process, plan);
      const std::string place = shared ? root() : root() + "-" + std::to_string(process.index);
      if (!shared) {
        given.primary_host.reset();
        given.create = false;
        std::filesystem::create_directories(place);
      }
      if (process.index == 1) {
        const auto opens = [place](const engine::IoRequest& request) {
          return request.op == IoOp::open && request.path == place;
        };
        plan->fail(opens, 1, EACCES);
      }
      const Error error = error_of([&] { const CheckpointManager manager(place, given); });
      EXPECT_EQ(error.code(), ErrorCode::permission_denied) << error.what();
      const std::string named = process.index == 1 ? place : "process 1 of 3 failed";
      EXPECT_THAT(error.what(), HasSubstr(named));
      const CheckpointManager next(place, given);
      EXPECT_THAT(next.all_steps(), IsEmpty());
    }
  });
}

}  // namespace
}  // namespace cairn
