// How a roll-back begins and ends, and what becomes of the run that it gives up.

#include <filesystem>

#include "behaviours/behaviour.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

ManagerOptions superseding(ManagerOptions options) {
  options.on_older_step = OlderStep::supersede;
  return options;
}

bool makes_step_3(const engine::IoRequest& request) {
  return request.op == IoOp::make_directory && request.path == "3.orbax-checkpoint-tmp";
}

CAIRN_BEHAVIOUR(RolledBack);
TEST_P(RolledBack, TheRollBackIsOverOnceTheRunHasPassedWhereItWas) {
  CheckpointManager manager(root(), given());
  save_all(manager, 0, 3);
  EXPECT_EQ(value_of(manager, 1), 1);
  EXPECT_EQ(error_of(manager.save(2, state(2))).code(), ErrorCode::invalid_argument);
  EXPECT_TRUE(save(manager, 4));
  EXPECT_EQ(manager.save(4, state(4)).get().outcome, SaveOutcome::skipped_older_step);
  EXPECT_EQ(manager.save(2, state(2)).get().outcome, SaveOutcome::skipped_older_step);
}
TEST_P(RolledBack, TheRollBackIsOverOnceItsRunHasTakenThePlace) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 5);
  EXPECT_EQ(value_of(manager, 1), 1);
  save_all(manager, 2, 4);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2, 3, 4}));
  // A stray save of an old step, which would take the new run with it.
  EXPECT_EQ(manager.save(2, state(2)).get().outcome, SaveOutcome::skipped_older_step);
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2, 3, 4}));
}
TEST_P(RolledBack, WhatARunHasSupersededDoesNotComeBackWhereItsReplacementFails) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 3);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture second = manager.save(2, state(2));
  const SaveFuture third = manager.save(3, state(3));  // in place of one that is there
  faults_->wait_until_held(1);
  faults_->fail(makes_step_3, 1, EIO);
  faults_->release();
  EXPECT_TRUE(second.get());
  EXPECT_EQ(error_of(third).code(), ErrorCode::io_error);
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2}));
  EXPECT_TRUE(save(manager, 3));
}
TEST_P(RolledBack, NorWhereItIsCancelledWhileTheOneThatSupersedesIsUnderWay) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 3);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture second = manager.save(2, state(2));
  faults_->wait_until_held(1);
  const SaveFuture third = manager.save(3, state(3));
  third.cancel();
  EXPECT_EQ(error_of(third).code(), ErrorCode::cancelled);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2}));
  faults_->release();
  EXPECT_TRUE(second.get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2}));
  EXPECT_TRUE(save(manager, 3));
}
TEST_P(RolledBack, WhatWasToBeReplacedComesBackWithTheRestWhereTheOneThatSupersedesFailsToo) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 4);
  EXPECT_EQ(value_of(manager, 1), 1);
  for (const bool replacement_first : {true, false}) {
    SCOPED_TRACE(replacement_first);
    faults_->hold(FaultPlan::only({IoOp::write}));
    const SaveFuture second = manager.save(2, state(2));
    faults_->wait_until_held(1);
    const SaveFuture third = manager.save(3, state(3));
    if (replacement_first) {
      third.cancel();
      EXPECT_EQ(error_of(third).code(), ErrorCode::cancelled);
    } else {
      faults_->fail(makes_step_3, 1, EIO);
    }
    second.cancel();
    faults_->release();
    EXPECT_EQ(error_of(second).code(), ErrorCode::cancelled);
    if (!replacement_first) {
      EXPECT_EQ(error_of(third).code(), ErrorCode::io_error);
    }
    manager.wait_until_finished().get();
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2, 3, 4}));
  }
}
TEST_P(RolledBack, WhatTheFirstSaveOfTheNewRunWasToSupersedeGoesWithTheSecondWhereItFails) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 5);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture second = manager.save(2, state(22));
  faults_->wait_until_held(1);
  const SaveFuture third = manager.save(3, state(33));
  second.cancel();
  faults_->release();
  EXPECT_EQ(error_of(second).code(), ErrorCode::cancelled);
  EXPECT_TRUE(third.get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2, 3}));
  EXPECT_EQ(value_of(manager, 3), 33);
}
TEST_P(RolledBack, ASecondOneTakesTheFirstRunsPlaceAndAllThatItHadSuperseded) {
  for (const bool first_fails : {true, false}) {
    SCOPED_TRACE(first_fails);
    std::filesystem::remove_all(root());
    CheckpointManager manager(root(), superseding(given()));
    save_all(manager, 0, 5);
    EXPECT_EQ(value_of(manager, 2), 2);
    faults_->hold(FaultPlan::only({IoOp::write}));
    const SaveFuture third = manager.save(3, state(33));
    faults_->wait_until_held(1);
    EXPECT_EQ(value_of(manager, 0), 0);
    const SaveFuture first = manager.save(1, state(11));
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1}));
    if (first_fails) third.cancel();
    faults_->release();
    if (first_fails) {
      EXPECT_EQ(error_of(third).code(), ErrorCode::cancelled);
    }
    EXPECT_TRUE(first.get());
    manager.wait_until_finished().get();
    EXPECT_EQ(manager.all_steps(true), (Steps{0, 1}));
  }
}
TEST_P(RolledBack, OfTheSupersededStepsTheLatestGoesFirst) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 1);
  save_all(manager, 3, 5);
  EXPECT_EQ(value_of(manager, 1), 1);
  // As if it had died after the first.
  faults_->fail(is_deletion, 2, EIO, FaultPlan::kForever);
  EXPECT_TRUE(save(manager, 2));
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.latest_step(), 2);
  ManagerOptions reader = given();
  reader.read_only = true;
  CheckpointManager next(root(), reader);
  EXPECT_EQ(next.all_steps(), (Steps{0, 1, 2, 3, 4})) << "no gap in what is left of the old run";
}
TEST_P(RolledBack, ToRestoreTheLatestCommittedStepIsNoneWhateverIsUnderWay) {
  CheckpointManager manager(root(), superseding(given()));
  for (const Step step : {0, 10, 20}) EXPECT_TRUE(save(manager, step));
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture next = manager.save(30, state(30));
  faults_->wait_until_held(1);
  EXPECT_EQ(value_of(manager), 20);
  faults_->release();
  EXPECT_TRUE(next.get());
  EXPECT_EQ(save(manager, 25).outcome, SaveOutcome::skipped_older_step);
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 10, 20, 30}));
}
TEST_P(RolledBack, ASaveThatWasUnderWayEndsNone) {
  CheckpointManager manager(root(), given());
  save_all(manager, 0, 2);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture before = manager.save(3, state(3));
  faults_->wait_until_held(1);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->release();
  EXPECT_TRUE(before.get());
  EXPECT_EQ(error_of(manager.save(2, state(2))).code(), ErrorCode::invalid_argument);
}
TEST_P(RolledBack, TheRollBackIsOverOnceNoLaterStepIsLeft) {
  CheckpointManager manager(root(), given());
  save_all(manager, 0, 3);
  EXPECT_EQ(value_of(manager, 1), 1);
  manager.delete_step(3).get();
  EXPECT_EQ(error_of(manager.save(2, state(2))).code(), ErrorCode::invalid_argument);
  manager.delete_step(2).get();
  EXPECT_TRUE(save(manager, 2));
  EXPECT_EQ(manager.save(2, state(2)).get().outcome, SaveOutcome::skipped_older_step);
}
TEST_P(RolledBack, TheRollBackIsOverAlsoWhereItsRunSavesBeforeTheLaterStepHasGone) {
  CheckpointManager manager(root(), given());
  save_all(manager, 0, 2);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->hold(is_deletion);
  Future<void> deleted = manager.delete_step(2);
  faults_->wait_until_held(1);
  const SaveFuture saved = manager.save(2, state(2));
  faults_->release();
  deleted.get();
  EXPECT_TRUE(saved.get());
  EXPECT_EQ(manager.save(2, state(2)).get().outcome, SaveOutcome::skipped_older_step);
}
TEST_P(RolledBack, ADeletionThatFailsEndsNone) {
  CheckpointManager manager(root(), given());
  save_all(manager, 0, 2);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->fail(is_deletion, 1, EIO);
  EXPECT_EQ(error_of(manager.delete_step(2)).code(), ErrorCode::io_error);
  EXPECT_EQ(error_of(manager.save(2, state(2))).code(), ErrorCode::invalid_argument);
}
TEST_P(RolledBack, ItsStepMayBeReadAgainWhileItsRunTakesThePlace) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 3);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture second = manager.save(2, state(2));
  faults_->wait_until_held(1);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->release();
  EXPECT_TRUE(second.get());
  EXPECT_EQ(manager.save(2, state(2)).get().outcome, SaveOutcome::skipped_older_step);
}
TEST_P(RolledBack, ItsStepReadAgainIsOneStillWhereTheSaveUnderWayFails) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 1);
  EXPECT_TRUE(save(manager, 3));
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture second = manager.save(2, state(2));
  faults_->wait_until_held(1);
  EXPECT_EQ(value_of(manager, 1), 1);
  second.cancel();
  faults_->release();
  EXPECT_EQ(error_of(second).code(), ErrorCode::cancelled);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 3}));
  EXPECT_TRUE(save(manager, 2));
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2}));
}
TEST_P(RolledBack, OneFurtherBackIsNotEndedByARunThatWasUnderWay) {
  CheckpointManager manager(root(), superseding(given()));
  save_all(manager, 0, 3);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture second = manager.save(2, state(2));
  faults_->wait_until_held(1);
  EXPECT_EQ(value_of(manager, 0), 0);
  faults_->release();
  EXPECT_TRUE(second.get());
  EXPECT_TRUE(save(manager, 1));
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1}));
}

}  // namespace
}  // namespace cairn
