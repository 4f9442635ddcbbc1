// Behaviours: what is saved, when, and what the caller is told.

#include <boost/asio/post.hpp>
#include <future>
#include <latch>
#include <thread>

#include "behaviours/behaviour.h"
#include "support/settle.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;
using ::testing::HasSubstr;

// test_save_restore
CAIRN_BEHAVIOUR(B001);
TEST_P(B001, ASavedStepIsRestoredEqual) {
  for (const bool async : {true, false}) {
    for (const std::optional<int> length : {std::optional<int>(), std::optional<int>(8)}) {
      ManagerOptions options = given();
      options.enable_async_checkpointing = async;
      options.step_format_fixed_length = length;
      CheckpointManager manager(
          root() + "/" + std::to_string(async) + "-" + std::to_string(length.value_or(0)), options);
      const SaveFuture saved = manager.save(0, state(7));
      manager.wait_until_finished().get();
      EXPECT_TRUE(saved.get());
      EXPECT_EQ(manager.restore(0).get().tree(), Tree(state(7)));
    }
  }
}

// test_save_restore_with_concurrent_wait_until_finished
CAIRN_BEHAVIOUR(B002);
TEST_P(B002, ManyMayWaitForOneSave) {
  CheckpointManager manager(root(), given());
  faults_->hold(FaultPlan::only({IoOp::sync_all}));
  const SaveFuture saved = manager.save(0, state(0));
  faults_->wait_until_held(1);
  constexpr int kThreads = 10;
  std::latch asked(kThreads);
  std::vector<std::thread> waiting;
  for (int i = 0; i < kThreads; ++i) {
    waiting.emplace_back([&] {
      Future<void> finished = manager.wait_until_finished();
      EXPECT_FALSE(finished.ready());
      asked.count_down();
      finished.get();
    });
  }
  asked.wait();
  faults_->release();
  manager.wait_until_finished().get();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_EQ(value_of(manager, 0), 0);
}

// test_save_restore_no_kwargs
CAIRN_BEHAVIOUR(B005);
TEST_P(B005, RestoreNeedsNoArguments) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 0));
  EXPECT_EQ(manager.restore(0).get().tree(), Tree(state(0)));
}

// test_incorrect_single_usage
CAIRN_BEHAVIOUR(B007);
TEST_P(B007, AManagerOfOneItemRefusesSeveral) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 0));
  args::Composite items;
  items.add("params", args::StandardSave(Tree(state(1))));
  const Error saving = error_of([&] { static_cast<void>(manager.save(1, items).get()); });
  EXPECT_EQ(saving.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(saving.what(), HasSubstr("earlier saves had a single item"));
  EXPECT_EQ(manager.all_steps(), Steps{0});
  const args::CompositeRestore named{{"default", args::StandardRestore()}};
  const Error restoring = error_of([&] { static_cast<void>(manager.restore(0, named).get()); });
  EXPECT_EQ(restoring.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(restoring.what(), HasSubstr("earlier saves had a single item"));
  const Error newest =
      error_of([&] { static_cast<void>(manager.restore_latest_valid(named).get()); });
  EXPECT_EQ(newest.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(manager.restore(0, args::StandardRestore()).get().tree(), Tree(state(0)));
}
TEST_P(B007, AManagerThatHasSavedNothingRestoresByName) {
  {
    CheckpointManager writer(root(), given());
    EXPECT_TRUE(save(writer, 0));
  }
  CheckpointManager manager(root(), given());
  Restored restored =
      manager.restore(0, args::CompositeRestore{{"default", args::StandardRestore()}}).get();
  EXPECT_EQ(restored.tree("default"), Tree(state(0)));
}

// test_incorrect_composite_usage
CAIRN_BEHAVIOUR(B008);
TEST_P(B008, AManagerOfSeveralItemsRefusesOne) {
  CheckpointManager manager(root(), given());
  args::Composite items;
  items.add("params", args::StandardSave(Tree(state(0))));
  EXPECT_TRUE(manager.save(0, items).get());
  const Error saving = error_of([&] { static_cast<void>(save(manager, 1)); });
  EXPECT_EQ(saving.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(saving.what(), HasSubstr("earlier saves had several items"));
  const Error restoring =
      error_of([&] { static_cast<void>(manager.restore(0, args::StandardRestore()).get()); });
  EXPECT_EQ(restoring.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(restoring.what(), HasSubstr("earlier saves had several items"));
  const Error newest = error_of(
      [&] { static_cast<void>(manager.restore_latest_valid(args::StandardRestore()).get()); });
  EXPECT_EQ(newest.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(manager.restore(0).get().tree("params"), Tree(state(0)));
}

// test_latest_step_restore
CAIRN_BEHAVIOUR(B013);
TEST_P(B013, RestoreWithoutAStepTakesTheLatest) {
  ManagerOptions options = given();
  options.save_interval_steps = 2;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 5);
  EXPECT_EQ(value_of(manager), 4);
}

// test_no_overwrite_existing
CAIRN_BEHAVIOUR(B014);
TEST_P(B014, ForceDoesNotReplaceAStep) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 0));
  SaveOptions force;
  force.force = true;
  const Error error =
      error_of([&] { static_cast<void>(manager.save(0, state(9), std::move(force)).get()); });
  EXPECT_EQ(error.code(), ErrorCode::already_exists);
  EXPECT_EQ(value_of(manager, 0), 0);
}

// test_save_interval
CAIRN_BEHAVIOUR(B022);
TEST_P(B022, TheIntervalSaysWhichStepsAreSaved) {
  ManagerOptions options = given();
  options.save_interval_steps = 2;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 5);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 2, 4}));
}

// test_save_on_steps
CAIRN_BEHAVIOUR(B023);
TEST_P(B023, GivenStepsAreSavedBesidesTheInterval) {
  ManagerOptions options = given();
  options.save_interval_steps = 10000;
  options.save_on_steps = {1, 3, 5};
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 5);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 3, 5}));
}

// test_save_interval_force
CAIRN_BEHAVIOUR(B025);
TEST_P(B025, ForceSavesBetweenTheIntervals) {
  ManagerOptions options = given();
  options.save_interval_steps = 2;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 4);
  EXPECT_FALSE(save(manager, 5));
  EXPECT_TRUE(save(manager, 5, true));
  EXPECT_EQ(manager.all_steps(), (Steps{0, 2, 4, 5}));
}

// test_save_default_item
CAIRN_BEHAVIOUR(B031);
TEST_P(B031, ATreeAloneIsTheDefaultItem) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 0));
  EXPECT_TRUE(exists("0/default/_METADATA"));
  EXPECT_EQ(manager.restore(0).get().tree(), Tree(state(0)));
  args::Composite items;
  items.add("default", args::StandardSave(Tree(state(1))));
  const Error several = error_of([&] { static_cast<void>(manager.save(1, items).get()); });
  EXPECT_EQ(several.code(), ErrorCode::invalid_argument) << "the mode is fixed, whatever the name";
  EXPECT_TRUE(save(manager, 2));
}

// test_save_on_preemption
CAIRN_BEHAVIOUR(B038);
TEST_P(B038, TheStepAgreedOnIsSavedBetweenTheIntervals) {
  ManagerOptions options = given();
  options.save_interval_steps = 4;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 1);
  EXPECT_FALSE(manager.reached_preemption(1));
  manager.notify_preemption();
  save_all(manager, 2, 8);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 2, 4, 8}));
  EXPECT_TRUE(manager.reached_preemption(2));
  EXPECT_FALSE(manager.reached_preemption(3));
}

// test_async_finalize
CAIRN_BEHAVIOUR(B047);
TEST_P(B047, AStepHasItsNameOnceItIsWaitedFor) {
  CheckpointManager manager(root(), given());
  const SaveFuture saved = manager.save(0, state(0));
  manager.wait_until_finished().get();
  EXPECT_TRUE(exists("0"));
  EXPECT_FALSE(exists("0.orbax-checkpoint-tmp"));
  EXPECT_TRUE(saved.get());
}

// test_sync_is_save_in_progress
CAIRN_BEHAVIOUR(B049);
TEST_P(B049, WithoutAsyncNothingIsInProgressAfterSave) {
  ManagerOptions options = given();
  options.enable_async_checkpointing = false;
  CheckpointManager manager(root(), options);
  const SaveFuture saved = manager.save(0, state(0));
  EXPECT_FALSE(manager.is_saving_in_progress());
  EXPECT_TRUE(saved.ready());
  EXPECT_EQ(manager.latest_committed_step(), 0);
}

// test_should_save_with_option_should_save_fn_empty_root_dir
CAIRN_BEHAVIOUR(B050);
TEST_P(B050, AShouldSaveFnDecidesAlone) {
  ManagerOptions options = given();
  options.save_interval_steps = 1;
  options.save_on_steps = {0, 1};
  std::vector<std::optional<Step>> latest;
  options.should_save_fn = [&latest](Step step, std::optional<Step> before) {
    latest.push_back(before);
    return step == 2;
  };
  CheckpointManager manager(root(), options);
  EXPECT_FALSE(manager.should_save(0));
  EXPECT_FALSE(save(manager, 1));
  EXPECT_TRUE(save(manager, 2));
  EXPECT_FALSE(manager.should_save(3));
  EXPECT_EQ(latest, (std::vector<std::optional<Step>>{{}, {}, {}, 2}));
}

// test_default_init_default_item
CAIRN_BEHAVIOUR(B062);
TEST_P(B062, ANewManagerFindsTheHandlerInTheStepsMetadata) {
  {
    CheckpointManager manager(root(), given());
    EXPECT_TRUE(save(manager, 0));
  }
  CheckpointManager manager(root(), given());
  EXPECT_EQ(manager.restore(0).get().tree(), Tree(state(0)));
}

// test_default_init_multi_item_dynamic_items
CAIRN_BEHAVIOUR(B064);
TEST_P(B064, EachStepHasItsOwnItems) {
  CheckpointManager manager(root(), given());
  args::Composite first;
  first.add("state", args::StandardSave(Tree(state(0))));
  EXPECT_TRUE(manager.save(0, first).get());
  args::Composite second;
  second.add("state", args::StandardSave(Tree(state(1))));
  second.add("data", args::JsonSave(boost::json::object{{"epoch", 3}}));
  EXPECT_TRUE(manager.save(1, second).get());
  Restored zero = manager.restore(0).get();
  ASSERT_EQ(zero.items().size(), 1u);
  EXPECT_EQ(zero.items()[0].first, "state");
  Restored one = manager.restore(1).get();
  ASSERT_EQ(one.items().size(), 2u);
  EXPECT_EQ(one.json("data").at("epoch"), 3);
}

// test_save_decision_policy
CAIRN_BEHAVIOUR(B070);
TEST_P(B070, APolicyDecidesWhichStepsAreSaved) {
  using namespace save_policy;
  ManagerOptions options = given();
  options.save_decision_policy = AnyOf({FixedInterval(3), SpecificSteps({4}), FixedInterval(5)});
  CheckpointManager plain(root() + "/plain", options);
  save_all(plain, 1, 10);
  EXPECT_EQ(plain.all_steps(), (Steps{3, 4, 5, 6, 9, 10}));
  options.save_decision_policy =
      AnyOf({FixedInterval(3), SpecificSteps({4}), FixedInterval(5), InitialSave()});
  CheckpointManager initial(root() + "/initial", options);
  save_all(initial, 1, 10);
  EXPECT_EQ(initial.all_steps(), (Steps{1, 3, 4, 5, 6, 9, 10}));
}

// test_async_continuous_checkpointing
CAIRN_BEHAVIOUR(B071);
TEST_P(B071, ContinuousSavingWaitsForTheSaveUnderWay) {
  ManagerOptions options = given();
  options.save_decision_policy = save_policy::Continuous();
  CheckpointManager manager(root(), options);
  faults_->hold(FaultPlan::only({IoOp::sync_all}));
  const SaveFuture zero = manager.save(0, state(0));
  faults_->wait_until_held(1);
  EXPECT_FALSE(save(manager, 1));
  EXPECT_FALSE(save(manager, 2));
  faults_->release();
  manager.wait_until_finished().get();
  EXPECT_TRUE(zero.get());
  EXPECT_TRUE(save(manager, 3));
  EXPECT_EQ(manager.all_steps(), (Steps{0, 3}));
}

// test_initial_save
CAIRN_BEHAVIOUR(B074);
TEST_P(B074, AnEmptyRootTakesAnyStep) {
  ManagerOptions options = given();
  options.save_interval_steps = 100;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 10));
  EXPECT_FALSE(save(manager, 11));
}

// test_async_save_with_async_directory_creation
CAIRN_BEHAVIOUR(B100);
TEST_P(B100, DirectoriesAreMadeBehindTheCall) {
  CheckpointManager manager(root(), given());
  faults_->hold(FaultPlan::only({IoOp::make_directory}));
  const SaveFuture saved = manager.save(0, state(0));
  faults_->wait_until_held(1);
  EXPECT_EQ(entries(), std::vector<std::string>{".cairn.lock"});
  faults_->release();
  manager.wait_until_finished().get();
  EXPECT_TRUE(exists("0/default/_METADATA"));
  EXPECT_TRUE(saved.get());
}
TEST_P(B100, TheCallItselfDoesNoIo) {
  CheckpointManager manager(root(), given());
  engine::Engine& engine = *manager.engine();
  test::settle(engine, *faults_);
  // What is done behind the call is done on the engine's strand, which stands still.
  std::promise<void> stands, goes_on;
  const std::shared_future<void> until = goes_on.get_future();
  boost::asio::post(engine.executor(), [&stands, until] {
    stands.set_value();
    until.wait();
  });
  stands.get_future().wait();
  const std::vector<std::string> names = entries();
  const std::uint64_t calls = faults_->calls();
  EXPECT_TRUE(manager.should_save(0));
  EXPECT_EQ(faults_->calls(), calls);
  const SaveFuture saved = manager.save(0, state(0));
  EXPECT_EQ(faults_->calls(), calls);
  EXPECT_EQ(entries(), names);
  goes_on.set_value();
  EXPECT_TRUE(saved.get());
  EXPECT_GT(faults_->calls(), calls);
}
TEST_P(B100, UnlessTheyAreAskedForAtOnce) {
  ManagerOptions options = given();
  options.create_directories_asynchronously = false;
  CheckpointManager manager(root(), options);
  faults_->hold(FaultPlan::only({IoOp::sync_data}));
  const SaveFuture saved = manager.save(0, state(0));
  EXPECT_TRUE(exists("0.orbax-checkpoint-tmp"));
  faults_->release();
  EXPECT_TRUE(saved.get());
}

}  // namespace
}  // namespace cairn
