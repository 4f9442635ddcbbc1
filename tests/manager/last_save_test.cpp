// What the last save of a process makes of the steps that are there.

#include <fcntl.h>
#include <gmock/gmock.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Steps = std::vector<Step>;

class LastSave : public test::ManagerTest {
 protected:
  ManagerOptions given(OlderStep on_older_step = OlderStep::error) {
    test::EngineSettings settings;
    settings.faults = faults_;
    settings.clock = std::make_shared<engine::ManualClock>();
    ManagerOptions made = options(settings);
    made.on_older_step = on_older_step;
    return made;
  }
  static void save_all(CheckpointManager& manager, Step from, Step to) {
    for (Step step = from; step <= to; ++step) EXPECT_TRUE(manager.save(step, state(step)).get());
  }
  static void roll_back(const CheckpointManager& manager, Step step) {
    EXPECT_EQ(manager.restore(step).get().tree(), state(step));
  }
  /// Until what was posted to the engine before is done.
  static void settle(const CheckpointManager& manager) {
    std::promise<void> done;
    boost::asio::post(manager.engine()->executor(), [&] { done.set_value(); });
    done.get_future().get();
  }
  /// What the next process goes on from.
  void expect_resumed(Step step, std::int64_t value) {
    CheckpointManager next(root(), given());
    EXPECT_EQ(next.latest_step(), step);
    EXPECT_EQ(next.restore().get().tree(), state(value));
  }
  static constexpr const char* kTrash = "9.orbax-checkpoint-tmp-deleted-0123456789abcdef";
  /// As a process does that ends while it removes a step.
  void leave_trash() {
    CheckpointManager manager(root(), given());
    save_all(manager, 9, 9);
    manager.close().get();
    std::filesystem::rename(root() + "/9", root() + "/" + kTrash);
  }
  void expect_cleared_by_the_next_writer() {
    CheckpointManager next(root(), given());
    EXPECT_TRUE(next.save(10, state(10)).get());
    EXPECT_THAT(entries(), Not(Contains(kTrash)));
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
};
CAIRN_ON_EVERY_BACKEND(LastSave);

// ---- roll-backs ---------------------------------------------------------------------------------

TEST_P(LastSave, SupersedesTheRunThatWasGivenUpAlsoWhereItsStepIsOfThatRun) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 5);
    roll_back(manager, 1);
    EXPECT_TRUE(manager.save_before_exit(2, state(22)).get());
    manager.close().get();
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2}));
    EXPECT_THAT(entries(), Contains(StartsWith("5.orbax-checkpoint-tmp-deleted-")))
        << "what is left of it is for the next writer";
  }
  expect_resumed(2, 22);
}

TEST_P(LastSave, SupersedesTheRunThatWasGivenUpAlsoWhereThatHasNoSuchStep) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 1);
    save_all(manager, 4, 5);
    roll_back(manager, 1);
    EXPECT_TRUE(manager.save_before_exit(2, state(22)).get());
    manager.close().get();
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2}));
  }
  expect_resumed(2, 22);
}

TEST_P(LastSave, TakesTheNamesOfStepsThatTheSaveBeforeItHasSuperseded) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 5);
    roll_back(manager, 1);
    faults_->hold(FaultPlan::only({IoOp::write}));
    const SaveFuture before = manager.save(2, state(22));
    faults_->wait_until_held(1);
    const SaveFuture last = manager.save_before_exit(3, state(33));
    faults_->release();
    EXPECT_TRUE(before.get());
    EXPECT_TRUE(last.get());
    manager.close().get();
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2, 3}));
  }
  expect_resumed(3, 33);
}

TEST_P(LastSave, KeepsTheLaterStepsWhereItDoesNotReadBack) {
  {
    ManagerOptions lossy = given(OlderStep::supersede);
    // As a disk that loses what it has confirmed.
    lossy.post_finalization_callback = [this](Step step) {
      const std::string manifest = root() + "/2.orbax-checkpoint-tmp/default/manifest.ocdbt";
      if (step == 2) std::filesystem::resize_file(manifest, 1);
    };
    CheckpointManager manager(root(), lossy);
    save_all(manager, 0, 1);
    save_all(manager, 3, 4);
    roll_back(manager, 1);
    EXPECT_TRUE(manager.save_before_exit(2, state(22)).get());
    const Error error = error_of(manager.close());
    EXPECT_EQ(error.code(), ErrorCode::data_loss);
    EXPECT_THAT(error.what(), HasSubstr("later steps are kept"));
  }
  EXPECT_THAT(entries(), Contains("4"));
}

TEST_P(LastSave, FailsWhereASaveAfterARollBackDoes) {
  CheckpointManager manager(root(), given(OlderStep::error));
  save_all(manager, 0, 2);
  save_all(manager, 5, 5);
  roll_back(manager, 1);
  for (const Step step : {2, 3}) {
    const Error error = error_of(manager.save_before_exit(step, state(0)));
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("on_older_step"));
  }
  EXPECT_TRUE(manager.save_before_exit(6, state(6)).get()) << "above the run that was given up";
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2, 5, 6}));
}

TEST_P(LastSave, IsSkippedWhereASaveAfterARollBackIs) {
  CheckpointManager manager(root(), given(OlderStep::skip));
  save_all(manager, 0, 2);
  save_all(manager, 5, 5);
  roll_back(manager, 1);
  for (const Step step : {2, 3}) {
    EXPECT_EQ(manager.save_before_exit(step, state(0)).get().outcome,
              SaveOutcome::skipped_older_step);
  }
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2, 5}));
}

TEST_P(LastSave, AsksNoPolicyAfterARollBack) {
  ManagerOptions never = given(OlderStep::supersede);
  never.should_save_fn = [](Step, std::optional<Step>) { return false; };
  CheckpointManager manager(root(), never);
  SaveOptions forced;
  forced.force = true;
  for (Step step = 0; step < 3; ++step) EXPECT_TRUE(manager.save(step, state(step), forced).get());
  roll_back(manager, 0);
  EXPECT_TRUE(manager.save_before_exit(1, state(11)).get());
  manager.close().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1}));
}

TEST_P(LastSave, WithoutARollBackMayLieBelowTheLatestStep) {
  CheckpointManager manager(root(), given());
  save_all(manager, 0, 1);
  save_all(manager, 5, 5);
  EXPECT_TRUE(manager.save_before_exit(3, state(3)).get());
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 3, 5}));
}

// ---- saves under way ----------------------------------------------------------------------------

TEST_P(LastSave, IsMadeWhereTheOneOfItsStepIsCancelled) {
  {
    CheckpointManager manager(root(), given());
    faults_->hold(FaultPlan::only({IoOp::write}));
    const SaveFuture before = manager.save(1, state(1));
    faults_->wait_until_held(1);
    before.cancel();
    const SaveFuture last = manager.save_before_exit(1, state(11));
    faults_->release();
    EXPECT_EQ(error_of(before).code(), ErrorCode::cancelled);
    EXPECT_EQ(last.get().outcome, SaveOutcome::saved);
  }
  expect_resumed(1, 11);
}

TEST_P(LastSave, IsMadeWhereTheOneOfItsStepHasFailedAndCleansUp) {
  {
    ManagerOptions once = given();
    once.post_finalization_callback = [calls = 0](Step) mutable {
      if (calls++ == 0) throw std::runtime_error("the first one");
    };
    CheckpointManager manager(root(), once);
    faults_->hold(FaultPlan::only({IoOp::unlink}));
    const SaveFuture before = manager.save(1, state(1));
    faults_->wait_until_held(1);
    const SaveFuture last = manager.save_before_exit(1, state(11));
    faults_->release();
    EXPECT_THAT(error_of(before).what(), HasSubstr("the first one"));
    EXPECT_EQ(last.get().outcome, SaveOutcome::saved);
    // Its error, which the future has told, is no reason to end with one.
    manager.close().get();
  }
  expect_resumed(1, 11);
}

TEST_P(LastSave, SupersedesWhatTheCancelledOneBeforeItWasTo) {
  for (const Step step : {2, 3}) {
    SCOPED_TRACE(step);
    std::filesystem::remove_all(root());
    {
      CheckpointManager manager(root(), given(OlderStep::supersede));
      save_all(manager, 0, 4);
      roll_back(manager, 1);
      faults_->hold(FaultPlan::only({IoOp::write}));
      const SaveFuture before = manager.save(2, state(2));
      faults_->wait_until_held(1);
      before.cancel();
      const SaveFuture last = manager.save_before_exit(step, state(22));
      faults_->release();
      EXPECT_EQ(error_of(before).code(), ErrorCode::cancelled);
      EXPECT_EQ(last.get().outcome, SaveOutcome::saved);
      manager.close().get();
    }
    EXPECT_THAT(entries(), Not(Contains("4")));
    expect_resumed(step, 22);
  }
}

TEST_P(LastSave, SupersedesAlsoInsteadOfOneThatHadNoneToSupersede) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 4);
    roll_back(manager, 1);
    faults_->hold(FaultPlan::only({IoOp::write}));
    const SaveFuture second = manager.save(2, state(2));
    faults_->wait_until_held(1);
    const SaveFuture third = manager.save(3, state(3));
    second.cancel();
    third.cancel();
    const SaveFuture last = manager.save_before_exit(3, state(33));
    faults_->release();
    EXPECT_EQ(error_of(second).code(), ErrorCode::cancelled);
    EXPECT_EQ(error_of(third).code(), ErrorCode::cancelled);
    EXPECT_EQ(last.get().outcome, SaveOutcome::saved);
    manager.close().get();
  }
  EXPECT_THAT(entries(), Not(Contains("4")));
  expect_resumed(3, 33);
}

TEST_P(LastSave, IsMadeWhereTheOneOfItsStepSupersedesNothing) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 4);
    roll_back(manager, 1);
    faults_->hold(FaultPlan::only({IoOp::write}));
    SaveOptions forced;
    forced.force = true;
    forced.overwrite = true;
    const SaveFuture before = manager.save(2, state(2), forced);
    faults_->wait_until_held(1);
    const SaveFuture last = manager.save_before_exit(2, state(22));
    faults_->release();
    EXPECT_TRUE(before.get());
    EXPECT_TRUE(last.get());
  }
  expect_resumed(2, 22);
}

TEST_P(LastSave, SupersedesAlsoWhereItOverwrites) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 4);
    roll_back(manager, 1);
    ExitSaveOptions overwriting;
    overwriting.save.overwrite = true;
    EXPECT_TRUE(manager.save_before_exit(3, state(33), overwriting).get());
  }
  expect_resumed(3, 33);
}

TEST_P(LastSave, LetsTheSaveBeforeItFinishWhatThatHasSuperseded) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 1);
    save_all(manager, 3, 4);
    roll_back(manager, 1);
    faults_->hold([](const engine::IoRequest& request) {
      return request.op == IoOp::open && request.path.ends_with("manifest.ocdbt") &&
             (request.flags & O_CREAT) == 0;
    });
    EXPECT_TRUE(manager.save(2, state(22)).get());
    faults_->wait_until_held(1);  // it is read back
    const SaveFuture last = manager.save_before_exit(2, state(0));
    EXPECT_EQ(last.get().outcome, SaveOutcome::skipped_older_step);
    settle(manager);
    faults_->release();
  }
  EXPECT_THAT(entries(), Not(AnyOf(Contains("3"), Contains("4"))));
  expect_resumed(2, 22);
}

TEST_P(LastSave, IsTheOneUnderWayAlsoWhereThatIsToBeDeletedByRule) {
  ManagerOptions best = given();
  best.max_to_keep = 1;
  best.best_fn = [](const boost::json::object& metrics) {
    return metrics.at("accuracy").to_number<double>();
  };
  CheckpointManager manager(root(), best);
  SaveOptions good;
  good.metrics = {{"accuracy", 1}};
  EXPECT_TRUE(manager.save(0, state(0), good).get());
  faults_->hold(FaultPlan::only({IoOp::write}));
  SaveOptions poor;
  poor.metrics = {{"accuracy", 0}};
  const SaveFuture before = manager.save(1, state(1), poor);
  faults_->wait_until_held(1);
  ExitSaveOptions same;
  same.save = poor;
  const SaveFuture last = manager.save_before_exit(1, state(11), same);
  faults_->release();
  EXPECT_TRUE(before.get());
  EXPECT_TRUE(last.get());
  EXPECT_EQ(manager.restore(1).get().tree(), state(1));
}

TEST_P(LastSave, IsMadeWhereTheOneOfItsStepIsOfTheRunThatWasGivenUp) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 2);
    faults_->hold(FaultPlan::only({IoOp::write}));
    const SaveFuture before = manager.save(3, state(3));
    faults_->wait_until_held(1);
    roll_back(manager, 1);
    const SaveFuture last = manager.save_before_exit(3, state(33));
    faults_->release();
    EXPECT_TRUE(before.get());
    EXPECT_EQ(last.get().outcome, SaveOutcome::saved);
  }
  expect_resumed(3, 33);
}

TEST_P(LastSave, TakesTheNamesOfSupersededStepsThatCommitAfterIt) {
  {
    CheckpointManager manager(root(), given(OlderStep::supersede));
    save_all(manager, 0, 1);
    faults_->hold(FaultPlan::only({IoOp::write}));
    const SaveFuture writing = manager.save(4, state(4));
    faults_->wait_until_held(1);
    const SaveFuture waiting = manager.save(5, state(5));
    roll_back(manager, 0);
    const SaveFuture last = manager.save_before_exit(2, state(22));
    last.wait_staged();  // it has the next turn
    faults_->release();
    for (const SaveFuture& save : {writing, last, waiting}) EXPECT_TRUE(save.get());
    manager.close().get();
    EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2}));
  }
  EXPECT_THAT(entries(), Not(AnyOf(Contains("4"), Contains("5"))));
  expect_resumed(2, 22);
}

TEST_P(LastSave, KeepsGoneWhatItsRunHasSupersededWhereTheReplacementFails) {
  for (const bool before_the_commit : {true, false}) {
    SCOPED_TRACE(before_the_commit);
    std::filesystem::remove_all(root());
    {
      CheckpointManager manager(root(), given(OlderStep::supersede));
      save_all(manager, 0, 4);
      roll_back(manager, 1);
      faults_->clear();
      faults_->hold(FaultPlan::only({IoOp::write}));
      const SaveFuture second = manager.save(2, state(22));
      faults_->wait_until_held(1);
      const SaveFuture third = manager.save(3, state(33));  // in place of one that is there
      const SaveFuture last = manager.save_before_exit(2, state(0));
      if (before_the_commit) {
        third.cancel();
        EXPECT_EQ(error_of(third).code(), ErrorCode::cancelled);
      } else {
        const auto makes_it = [](const engine::IoRequest& request) {
          return request.op == IoOp::make_directory && request.path == "3.orbax-checkpoint-tmp";
        };
        faults_->fail(makes_it, 1, EIO);
      }
      faults_->release();
      EXPECT_TRUE(last.get());
      EXPECT_TRUE(second.get());
      if (!before_the_commit) {
        EXPECT_EQ(error_of(third).code(), ErrorCode::io_error);
      }
      manager.close().get();
      EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2}));
    }
    EXPECT_THAT(entries(), Not(AnyOf(Contains("3"), Contains("4"))));
    expect_resumed(2, 22);
  }
}

// ---- what earlier processes left ----------------------------------------------------------------

TEST_P(LastSave, LeavesWhatAnEarlierProcessCouldNotRemove) {
  leave_trash();
  {
    CheckpointManager manager(root(), given());
    EXPECT_TRUE(manager.save_before_exit(1, state(1)).get());
  }
  EXPECT_THAT(entries(), Contains(kTrash));
  expect_cleared_by_the_next_writer();
}

TEST_P(LastSave, StopsTheRemovalOfWhatAnEarlierProcessLeft) {
  leave_trash();
  {
    CheckpointManager manager(root(), given());
    faults_->hold(FaultPlan::only({IoOp::unlink}));
    const SaveFuture before = manager.save(1, state(1));
    faults_->wait_until_held(1);  // it has the turn
    const SaveFuture last = manager.save_before_exit(2, state(2));
    settle(manager);
    faults_->release();
    EXPECT_TRUE(last.get());
    EXPECT_TRUE(before.get());
  }
  EXPECT_THAT(entries(), Contains(kTrash)) << "files under way are gone, and nothing more";
  expect_cleared_by_the_next_writer();
}

}  // namespace
}  // namespace cairn
