// A trainer and an evaluator in processes of their own.

#include <sys/wait.h>

#include <filesystem>

#include "support/forked_processes.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

class EvaluatorProcess : public test::ManagerTest {};
CAIRN_ON_EVERY_BACKEND(EvaluatorProcess);

TEST_P(EvaluatorProcess, GetsEveryStepAndKeepsTheOneThatItLooksAt) {
  constexpr Step kSteps = 6;
  test::Gate waits;      // the evaluator is there before there is a root
  test::Gate evaluates;  // it holds a step
  test::Gate saved;      // the trainer has tried to delete it
  const auto evaluate = [&] {
    WatchOptions given;
    given.engine = test::make_engine(GetParam());
    StepIterator steps(root(), given);
    for (Step expected = 0; expected < kSteps; ++expected) {
      Future<std::optional<Step>> next = steps.next();
      waits.open();
      ASSERT_EQ(next.get(), std::optional<Step>(expected));
      evaluates.open();
      saved.pass();
      EXPECT_EQ(read_tree(given.engine, steps.current().path()).get(), state(expected));
    }
    // By then its lock is gone: the engine waits for what it was asked.
  };
  const auto train = [&] {
    ManagerOptions given = options();
    given.max_to_keep = 1;
    std::optional<CheckpointManager> manager;
    for (Step step = 0; step < kSteps; ++step) {
      waits.pass();
      if (!manager) manager.emplace(root(), given);
      EXPECT_TRUE(manager->save(step, state(step)).get());
      evaluates.pass();
      EXPECT_EQ(error_of(manager->delete_step(step)).code(), ErrorCode::busy);
      saved.open();
    }
  };
  const auto body = [&](unsigned index) { index == 0 ? evaluate() : train(); };
  EXPECT_EQ(test::run_forked(2, body), (std::vector<int>{0, 0}));
  const auto look = [&](unsigned) {
    ManagerOptions given = options();
    given.max_to_keep = 1;
    CheckpointManager manager(root(), given);
    EXPECT_TRUE(manager.save(kSteps, state(kSteps)).get());
    manager.wait_until_finished().get();
    EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", std::to_string(kSteps)}));
  };
  EXPECT_EQ(test::run_forked(1, look), std::vector<int>{0});
}

TEST_P(EvaluatorProcess, ThatIsKilledHoldsNothingAnyMore) {
  test::Gate holds;
  const auto evaluate = [&] {
    WatchOptions given;
    given.engine = test::make_engine(GetParam());
    StepIterator steps(root(), given);
    ASSERT_EQ(steps.next().get(), std::optional<Step>(0));
    holds.open();
    ::pause();
  };
  const auto train = [&] {
    CheckpointManager manager(root(), options());
    EXPECT_TRUE(manager.save(0, state(0)).get());
  };
  EXPECT_EQ(test::run_forked(1, [&](unsigned) { train(); }), std::vector<int>{0});
  const auto kill = [&](const std::vector<pid_t>& children) {
    holds.pass();
    ::kill(children.front(), SIGKILL);
  };
  EXPECT_EQ(test::run_forked(
                1, [&](unsigned) { evaluate(); }, kill),
            std::vector<int>{test::killed_by(SIGKILL)});
  const auto remove = [&](unsigned) {
    CheckpointManager manager(root(), options());
    manager.delete_step(0).get();
  };
  EXPECT_EQ(test::run_forked(1, remove), std::vector<int>{0});
}

TEST_P(EvaluatorProcess, ThatWasForkedFromAnotherIsRefused) {
  const auto evaluate = [&](unsigned) {
    CheckpointManager manager(root(), options());
    EXPECT_TRUE(manager.save(0, state(0)).get());
    WatchOptions given;
    given.engine = test::make_engine(GetParam());
    std::optional<StepIterator> steps(std::in_place, root(), given);
    ASSERT_EQ(steps->next().get(), std::optional<Step>(0));
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(test::kProcessSeconds);
      bool right = error_of(steps->next()).code() == ErrorCode::closed;
      right = right && error_of(manager.wait_for_new_step()).code() == ErrorCode::closed;
      right = right && !steps->current();
      steps->release();
      steps.reset();
      ::_exit(right ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(error_of(manager.delete_step(0)).code(), ErrorCode::busy) << "the parent holds it on";
    EXPECT_EQ(steps->current().step(), 0);
  };
  EXPECT_EQ(test::run_forked(1, evaluate), std::vector<int>{0});
}

}  // namespace
}  // namespace cairn
