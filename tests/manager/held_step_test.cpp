// What is held of a root that is watched: a step is not deleted meanwhile, by whoever.

#include <gmock/gmock.h>

#include <filesystem>

#include "manager/watcher_fixture.h"

namespace cairn::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

class HeldStepTest : public WatcherTest {
 protected:
  // Saves step 0, which somebody may hold, anew.
  void overwrite_held(CheckpointManager& manager) {
    SaveOptions again;
    again.overwrite = true;
    again.force = true;
    EXPECT_TRUE(manager.save(0, state(9), again).get());
    manager.wait_until_finished().get();
    EXPECT_EQ(count_trash(), 1u);
  }
};
CAIRN_ON_EVERY_BACKEND(HeldStepTest);

TEST_P(HeldStepTest, TheCurrentStepIsNotDeleted) {
  ManagerOptions given = trainer();
  given.max_to_keep = 1;
  CheckpointManager manager(root(), given);
  save(manager, 0);
  StepIterator steps(root(), watcher());
  EXPECT_EQ(steps.next().get(), Found(0));
  save(manager, 1);
  EXPECT_EQ(error_of(manager.delete_step(0)).code(), ErrorCode::not_found) << "already chosen";
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1"));
  EXPECT_EQ(steps.next().get(), Found(1));
  EXPECT_EQ(error_of(manager.delete_step(1)).code(), ErrorCode::busy);
  save(manager, 2);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "1", "2")) << "0 went, 1 is held";
  HeldStep copy = steps.current();
  steps.release();
  EXPECT_FALSE(steps.current());
  save(manager, 3);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "1", "3")) << "the copy holds it";
  copy = HeldStep();
  {
    StepIterator other(root(), watcher());
    EXPECT_EQ(other.next().get(), Found(1));
    save(manager, 4);
    EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "1", "4"));
  }
  save(manager, 5);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "5"));
}

TEST_P(HeldStepTest, AStepThatNobodyHoldsAnyMoreGoesWhenTheManagerIsClosed) {
  for (const bool held : {false, true}) {
    SCOPED_TRACE(held);
    std::filesystem::remove_all(root());
    ManagerOptions given = trainer();
    given.on_older_step = OlderStep::supersede;
    CheckpointManager manager(root(), given);
    for (Step step = 0; step < 3; ++step) save(manager, step);
    StepIterator steps(root(), watcher());
    for (Step step = 0; step < 3; ++step) EXPECT_EQ(steps.next().get(), Found(step));
    static_cast<void>(manager.restore(0).get());
    save(manager, 1);
    EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1", "2"));
    if (!held) steps.release();
    manager.close().get();
    const CheckpointManager next(root(), trainer());
    EXPECT_EQ(next.latest_step(), held ? 2 : 1);
  }
}

TEST_P(HeldStepTest, AHeldStepThatIsOverwrittenStaysReadable) {
  CheckpointManager manager(root(), trainer());
  save(manager, 0);
  StepIterator steps(root(), watcher());
  EXPECT_EQ(steps.next().get(), Found(0));
  const Tree before = open_tree(engine_, steps.current().path()).get();
  overwrite_held(manager);
  save(manager, 1);
  EXPECT_EQ(count_trash(), 1u) << "the next writer asks again";
  EXPECT_EQ(read_tree(engine_, root() + "/0").get(), state(9));
  EXPECT_EQ(steps.next().get(), Found(1)) << "a number is reported once";
  EXPECT_EQ(count_trash(), 1u) << "the lazy tree holds it on";
  CheckpointManager copies((root() + " copy"), trainer());
  EXPECT_TRUE(copies.save(0, before).get());
  EXPECT_EQ(copies.restore(0).get().tree(), state(0));
}

TEST_P(HeldStepTest, WhatIsLeftOfAnOverwrittenStepGoesWithTheNextSave) {
  CheckpointManager manager(root(), trainer());
  save(manager, 0);
  {
    StepIterator steps(root(), watcher());
    EXPECT_EQ(steps.next().get(), Found(0));
    overwrite_held(manager);
  }
  save(manager, 1);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1"));
}

/// The file that readers lock is opened, in a directory whose path has `part` in it.
engine::FaultPlan::Predicate opens_lock_in(std::string part) {
  return [part = std::move(part)](const engine::IoRequest& request) {
    if (request.op != engine::IoOp::open || request.path != "_CHECKPOINT_METADATA") return false;
    std::error_code error;
    const std::string path =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(request.fd), error);
    return path.find(part) != path.npos;
  };
}

TEST_P(HeldStepTest, AStepStaysWhereNobodyCanTellWhetherItIsHeld) {
  ManagerOptions given = trainer();
  given.max_to_keep = 1;
  CheckpointManager manager(root(), given);
  save(manager, 0);
  StepIterator steps(root(), watcher());
  EXPECT_EQ(steps.next().get(), Found(0));
  trainer_faults_->fail(opens_lock_in("/root/0"), 1, EMFILE, engine::FaultPlan::kForever);
  save(manager, 1);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1"));
  trainer_faults_->clear();
  steps.release();
  save(manager, 2);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "2"));
}

TEST_P(HeldStepTest, AnOverwrittenStepStaysWhereNobodyCanTellWhetherItIsHeld) {
  CheckpointManager manager(root(), trainer());
  save(manager, 0);
  StepIterator steps(root(), watcher());
  EXPECT_EQ(steps.next().get(), Found(0));
  trainer_faults_->fail(opens_lock_in("-deleted-"), 1, EMFILE, engine::FaultPlan::kForever);
  overwrite_held(manager);
  trainer_faults_->clear();
  steps.release();
  save(manager, 1);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1"));
}

TEST_P(HeldStepTest, AManagerWaitsForTheNewestStepAndKnowsItThen) {
  CheckpointManager manager(root(), trainer());
  save(manager, 0);
  ManagerOptions given;
  given.engine = engine_;
  given.read_only = true;
  CheckpointManager reader(root(), given);
  EXPECT_FALSE(reader.wait_for_new_step(milliseconds(0)).get()) << "it knows 0";
  EXPECT_EQ(reader.wait_for_new_step(milliseconds(0), -1).get().step(), 0);
  Future<HeldStep> next = reader.wait_for_new_step();
  wait_until_it_sleeps();
  save(manager, 2);
  EXPECT_EQ(next.get().step(), 2);
  EXPECT_EQ(reader.all_steps(), (std::vector<Step>{0, 2}));
  save(manager, 3);
  save(manager, 4);
  {
    const HeldStep held = reader.wait_for_new_step().get();
    EXPECT_EQ(held.step(), 4) << "the newest";
    EXPECT_EQ(reader.latest_step(), 4);
    EXPECT_EQ(error_of(manager.delete_step(4)).code(), ErrorCode::busy);
  }
  manager.delete_step(4).get();
  Future<HeldStep> late = reader.wait_for_new_step(seconds(5));
  pass(seconds(5));
  EXPECT_FALSE(late.get());
  EXPECT_EQ(error_of(reader.wait_for_new_step(seconds(-5))).code(), ErrorCode::invalid_argument);
  Future<HeldStep> endless = reader.wait_for_new_step();
  wait_until_it_sleeps();
  reader.close().get();
  EXPECT_EQ(error_of(endless).code(), ErrorCode::cancelled);
  EXPECT_EQ(error_of(reader.wait_for_new_step()).code(), ErrorCode::closed);
}

}  // namespace
}  // namespace cairn::test
