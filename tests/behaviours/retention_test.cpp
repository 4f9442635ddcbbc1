// Behaviours: which steps stay, by which rule, and how the others go.

#include "behaviours/behaviour.h"
#include "support/settle.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;

// test_max_to_keep_zero
CAIRN_BEHAVIOUR(B016);
TEST_P(B016, NothingIsKeptWhereNothingIsAskedFor) {
  ManagerOptions options = given();
  options.max_to_keep = 0;
  CheckpointManager manager(root(), options);
  for (Step step = 0; step < 3; ++step) {
    const SaveFuture saved = manager.save(step, state(step));
    EXPECT_EQ(manager.all_steps(), Steps());
    EXPECT_TRUE(saved.get());
  }
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), Steps());
}

// test_max_to_keep_zero_other_conditions
CAIRN_BEHAVIOUR(B017);
TEST_P(B017, OtherRulesKeepWhatMaxToKeepZeroDoesNot) {
  ManagerOptions options = given();
  options.max_to_keep = 0;
  options.keep_period = 3;
  options.keep_time_interval = 5h;
  CheckpointManager manager(root(), options);
  save_hourly(manager, 0, 8);
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 3, 5, 6}));
}

// test_removes_old_saves_time_interval
CAIRN_BEHAVIOUR(B019);
TEST_P(B019, StepsFarEnoughApartAreKept) {
  ManagerOptions options = given();
  options.max_to_keep = 2;
  options.keep_time_interval = 3h;
  CheckpointManager manager(root(), options);
  save_hourly(manager, 0, 9);
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 3, 6, 8, 9}));
}

// the same test, continued by a new manager
CAIRN_BEHAVIOUR(B020);
TEST_P(B020, TheTimesOfStepsSurviveARestart) {
  ManagerOptions options = given();
  options.max_to_keep = 2;
  options.keep_time_interval = 3h;
  {
    CheckpointManager manager(root(), options);
    save_hourly(manager, 0, 9);
  }
  CheckpointManager manager(root(), options);
  save_hourly(manager, 10, 19);
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 3, 6, 9, 12, 15, 18, 19}));
}

// test_save_best
CAIRN_BEHAVIOUR(B034);
TEST_P(B034, TheBestStepsAreKeptAcrossARestart) {
  struct Series {
    BestMode mode;
    std::vector<double> values;
  };
  const Series series[] = {{BestMode::min, {5, 2, 4, 3, 7, 1, 10, 9, 7, 4}},
                           {BestMode::max, {30, 85, 70, 80, 60, 100, 40, 45, 75, 75}}};
  for (const auto& [mode, values] : series) {
    const std::string place = root() + "/" + std::to_string(static_cast<int>(mode));
    ManagerOptions options = given();
    options.max_to_keep = 2;
    options.best_fn = &loss_of;
    options.best_mode = mode;
    for (const auto& [first, last] : {std::pair<std::size_t, std::size_t>{0, 4}, {5, 9}}) {
      CheckpointManager manager(place, options);
      for (std::size_t i = first; i <= last; ++i)
        EXPECT_TRUE(save(manager, static_cast<Step>(i), loss(values[i])));
      manager.wait_until_finished().get();
    }
    CheckpointManager manager(place, options);
    EXPECT_EQ(manager.all_steps(), (Steps{1, 5}));
    EXPECT_EQ(manager.best_step(), 5);
    EXPECT_EQ(manager.metrics(1).get(), loss(values[1]));
  }
}

// test_save_best_delete_no_metrics; missing metrics are allowed in so many words
CAIRN_BEHAVIOUR(B035);
TEST_P(B035, StepsWithoutMetricsAreNotDeletedByRank) {
  ManagerOptions options = given();
  options.max_to_keep = 2;
  options.best_fn = &loss_of;
  options.allow_missing_metrics = true;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 4);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2, 3, 4}));
  EXPECT_EQ(manager.best_step(), std::nullopt);
  EXPECT_EQ(manager.latest_step(), 4);
}

// test_delete_with_todelete_subdir
CAIRN_BEHAVIOUR(B046);
TEST_P(B046, DeletedStepsAreRenamedWhole) {
  ManagerOptions options = given();
  options.todelete_subdir = "trash";
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 2);
  manager.delete_step(0).get();
  manager.delete_step(1).get();
  EXPECT_EQ(manager.all_steps(true), Steps{2});
  EXPECT_TRUE(exists("trash/0/default/manifest.ocdbt"));
  EXPECT_TRUE(exists("trash/1/default/manifest.ocdbt"));
  CheckpointManager aside(root() + "/trash", given());
  EXPECT_EQ(value_of(aside, 1), 1);
}

// test_preservation_joint_policy
CAIRN_BEHAVIOUR(B073);
TEST_P(B073, AJointPolicyKeepsWhatAnyOfItsPartsKeeps) {
  using namespace preservation;
  ManagerOptions options = given();
  options.preservation_policy =
      AnyOf({BestN(&loss_of, true, 2), EveryNSteps(4), CustomSteps({0, 3})});
  CheckpointManager manager(root(), options);
  Step step = 0;
  for (const double value : {5, 2, 4, 3, 7, 10, 11, 9, 8, 6, 12, 1}) {
    EXPECT_TRUE(save(manager, step++, loss(value)));
  }
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 3, 4, 8, 11}));
}

// test_checkpoint_deleter_parallel_delete
CAIRN_BEHAVIOUR(B086);
TEST_P(B086, NestedFilesAreRemovedSideBySide) {
  for (const std::size_t threads : {0u, 1u, 4u}) {
    ManagerOptions options = given();
    options.num_deletion_threads = threads;
    CheckpointManager manager(root() + "/" + std::to_string(threads), options);
    save_all(manager, 0, 1);
    const std::string below = std::to_string(threads) + "/0/extra";
    for (int i = 0; i < 40; ++i) {
      make_directory(below + "/" + std::to_string(i) + "/deep");
      write_text(below + "/" + std::to_string(i) + "/deep/file", "x");
      write_text(below + "/file" + std::to_string(i), "x");
    }
    manager.delete_step(0).get();
    manager.close().get();
    std::vector<std::string> left;
    for (const auto& entry :
         std::filesystem::directory_iterator(root() + "/" + std::to_string(threads)))
      left.push_back(entry.path().filename());
    EXPECT_THAT(left, ::testing::UnorderedElementsAre(".cairn.lock", "1"));
  }
}
TEST_P(B086, AsManyAtOnceAsAskedForAndNoMore) {
  constexpr int kFiles = 12;
  for (const std::size_t threads : {1u, 4u}) {
    const std::string place = std::to_string(threads);
    ManagerOptions options = given();
    options.num_deletion_threads = threads;
    CheckpointManager manager(root() + "/" + place, options);
    save_all(manager, 0, 1);
    for (int i = 0; i < kFiles; ++i) write_text(place + "/0/file" + std::to_string(i), "x");
    const auto hold = [this] { faults_->hold(FaultPlan::only({IoOp::unlink})); };
    hold();
    Future<void> deleted = manager.delete_step(0);
    faults_->wait_until_held(threads);
    test::settle(*manager.engine(), *faults_);
    EXPECT_EQ(faults_->held(), threads);
    // Those that begin between the two calls are not seen; there is always a next round.
    while (!deleted.ready()) {
      faults_->release();
      hold();
      test::settle(*manager.engine(), *faults_);
      EXPECT_LE(faults_->held(), threads);
    }
    faults_->release();
    deleted.get();
    EXPECT_FALSE(exists(place + "/0"));
  }
}

}  // namespace
}  // namespace cairn
