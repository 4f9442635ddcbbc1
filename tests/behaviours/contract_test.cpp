// What Cairn promises beyond Orbax's contract: closing, capture at the call, logs and durations,
// overwriting, the order of steps.

#include "behaviours/behaviour.h"
#include "support/log_records.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;
using test::LogRecords;
using ::testing::HasSubstr;

std::int64_t ns(std::chrono::nanoseconds time) {
  return time.count();
}

// ---- closing ------------------------------------------------------------------------------------

CAIRN_BEHAVIOUR(Closing);
TEST_P(Closing, SucceedsAfterAWaitThatHasReportedTheError) {
  CheckpointManager manager(root(), given());
  faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  { const SaveFuture dropped = manager.save(0, state(0)); }
  EXPECT_EQ(error_of(manager.wait_until_finished()).code(), ErrorCode::io_error);
  manager.close().get();  // an error is reported once
  EXPECT_EQ(error_of(manager.save(1, state(1))).code(), ErrorCode::closed);
  EXPECT_EQ(error_of(manager.delete_step(0)).code(), ErrorCode::closed);
  CheckpointManager next(root(), given());
  EXPECT_TRUE(save(next, 0)) << "the root is free";
}
TEST_P(Closing, ClosesEverythingThoughItReportsAnError) {
  ManagerOptions options = given();
  options.enable_background_delete = true;
  options.max_to_keep = 1;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0));
  faults_->hold(FaultPlan::only({IoOp::remove_directory}));
  EXPECT_TRUE(save(manager, 1));
  faults_->wait_until_held(1);  // in the background
  { const SaveFuture dropped = manager.save(-1, state(0)); }
  Future<void> closed = manager.close();
  EXPECT_FALSE(closed.ready()) << "it drains what is deleted in the background";
  faults_->release();
  EXPECT_THAT(error_of(closed).what(), HasSubstr("save step -1"));
  EXPECT_EQ(error_of(manager.save(3, state(3))).code(), ErrorCode::closed);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
  manager.close().get();
  CheckpointManager next(root(), given());
  EXPECT_TRUE(save(next, 2)) << "the root is free";
}

// ---- capture ------------------------------------------------------------------------------------

CAIRN_BEHAVIOUR(Captured);
TEST_P(Captured, WhatIsGivenByValueIsTheCallersAgainWhenSaveReturns) {
  CheckpointManager manager(root(), given());
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first =
      manager.save(0, args::Composite().add("tree", args::PyTreeSave(state(0))));
  const SaveFuture second =
      manager.save(1, args::Composite().add("tree", args::PyTreeSave(state(1))));
  faults_->wait_until_held(1);
  std::optional<SaveFuture> third;
  {
    Dict tree{
        {"number", Tree(1)}, {"text", Tree("before")}, {"nested", Tree(Dict{{"x", Tree(2.5)}})}};
    boost::json::object document{{"epoch", 3}, {"list", {1, 2, 3}}};
    args::Composite items;
    items.add("tree", args::PyTreeSave(tree));
    items.add("document", args::JsonSave(document));
    SaveOptions how;
    how.metrics = loss(0.5);
    how.custom_metadata["note"] = "before";
    third = manager.save(2, items, how);
    EXPECT_EQ(third->progress().staged, 0u) << "it waits for a place";
    // All that the caller has changes, and then goes.
    tree["number"] = Tree(-1);
    tree["text"] = Tree("after");
    tree["nested"] = Tree(Dict{{"y", Tree(true)}});
    document["epoch"] = "after";
    document.erase("list");
    items.add("late", args::JsonSave(document));
    how.metrics = loss(100);
    how.custom_metadata["note"] = "after";
  }
  faults_->release();
  EXPECT_TRUE(third->get());
  Restored restored = manager.restore(2).get();
  EXPECT_EQ(restored.items().size(), 3u) << "with the metrics";
  EXPECT_EQ(restored.tree("tree"), Tree(Dict{{"number", Tree(1)},
                                             {"text", Tree("before")},
                                             {"nested", Tree(Dict{{"x", Tree(2.5)}})}}));
  EXPECT_EQ(restored.json("document"), boost::json::value({{"epoch", 3}, {"list", {1, 2, 3}}}));
  EXPECT_EQ(manager.metrics(2).get(), loss(0.5));
  EXPECT_EQ(manager.metadata(2).get().custom_metadata.at("note"), "before");
}

// ---- logs and durations -------------------------------------------------------------------------

CAIRN_BEHAVIOUR(Logged);
TEST_P(Logged, AnErrorThatNobodyEverLooksAt) {
  const auto records = std::make_shared<LogRecords>();
  ManagerOptions options = given();
  options.logger = records;
  {
    CheckpointManager manager(root(), options);
    faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
    { const SaveFuture dropped = manager.save(7, state(7)); }
  }
  const std::vector<LogRecord> saves = records->of("save");
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].level, LogLevel::error);
  EXPECT_EQ(saves[0].step, 7);
  EXPECT_THAT(saves[0].message, HasSubstr("save step 7"));
  const std::vector<LogRecord> closes = records->of("close");
  ASSERT_EQ(closes.size(), 1u) << "the destructor has nobody else to tell";
  EXPECT_EQ(closes[0].level, LogLevel::error);
  EXPECT_THAT(closes[0].message, HasSubstr("save step 7"));
}
TEST_P(Logged, SavesThatFailAndThoseThatAreSkippedOnceEach) {
  const auto records = std::make_shared<LogRecords>();
  ManagerOptions options = given();
  options.logger = records;
  CheckpointManager manager(root(), options);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture failing = manager.save(7, state(7));
  faults_->wait_until_held(1);
  clock_->advance(2s);
  faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  faults_->release();
  EXPECT_EQ(error_of(failing).code(), ErrorCode::io_error);
  EXPECT_TRUE(manager.save(8, state(8)).get());
  EXPECT_FALSE(manager.save(7, state(7)).get());
  EXPECT_EQ(error_of(manager.save(-1, state(1))).code(), ErrorCode::invalid_argument);
  const std::vector<LogRecord> saves = records->of("save");
  ASSERT_EQ(saves.size(), 4u) << records->text();
  const std::uint64_t bytes = 3 * 5 * sizeof(float) + sizeof(std::int64_t);
  EXPECT_EQ(saves[0].level, LogLevel::error);
  EXPECT_EQ(saves[0].duration_ns, ns(2s));
  EXPECT_EQ(saves[0].bytes, bytes);
  EXPECT_EQ(saves[1].message, "saved");
  EXPECT_EQ(saves[1].bytes, bytes);
  EXPECT_EQ(saves[2].level, LogLevel::info);
  EXPECT_EQ(saves[2].step, 7);
  EXPECT_EQ(saves[2].message, "skipped_older_step");
  EXPECT_EQ(saves[2].bytes, 0u);
  EXPECT_EQ(saves[3].level, LogLevel::error);
  EXPECT_EQ(saves[3].bytes, 0u) << "it was not planned";
}
TEST_P(Logged, DurationsAreThoseOfTheClock) {
  const auto records = std::make_shared<LogRecords>();
  ManagerOptions options = given();
  options.logger = records;
  options.max_pending = 0;
  // Between the last write and the commit.
  options.post_finalization_callback = [&](Step step) {
    if (step == 1) clock_->advance(5s);
  };
  CheckpointManager manager(root(), options);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first = manager.save(0, state(0));
  first.wait_staged();
  faults_->wait_until_held(1);
  const SaveFuture second = manager.save(1, state(1));  // not staged before the first is over
  clock_->advance(2s);
  faults_->release();
  const SaveResult zero = first.get();
  EXPECT_EQ(zero.stage_ns, 0);
  EXPECT_EQ(zero.commit_ns, ns(2s));
  const SaveResult one = second.get();
  EXPECT_EQ(one.stage_ns, ns(2s));
  EXPECT_EQ(one.commit_ns, ns(7s));
  const std::uint64_t bytes = 3 * 5 * sizeof(float) + sizeof(std::int64_t);
  EXPECT_EQ(one.bytes, bytes);
  const std::vector<LogRecord> saves = records->of("save");
  ASSERT_EQ(saves.size(), 2u);
  EXPECT_EQ(saves[0].duration_ns, ns(2s));
  EXPECT_EQ(saves[1].duration_ns, ns(7s));
  EXPECT_EQ(saves[1].bytes, bytes);

  faults_->hold(FaultPlan::only({IoOp::read}));
  Future<Restored> restore = manager.restore(1);
  faults_->wait_until_held(1);
  clock_->advance(3s);
  faults_->release();
  static_cast<void>(restore.get());
  const std::vector<LogRecord> restores = records->of("restore");
  ASSERT_EQ(restores.size(), 1u);
  EXPECT_EQ(restores[0].step, 1);
  EXPECT_EQ(restores[0].duration_ns, ns(3s));
  EXPECT_EQ(restores[0].bytes, 3 * 5 * sizeof(float));
}
TEST_P(Logged, ASkippedSaveTakesNoTime) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 1));
  clock_->advance(1h);
  const SaveFuture older = manager.save(0, state(0));
  EXPECT_TRUE(older.ready());
  older.wait_staged();
  const SaveResult skipped = older.get();
  EXPECT_EQ(skipped.outcome, SaveOutcome::skipped_older_step);
  EXPECT_EQ(skipped.stage_ns, 0);
  EXPECT_EQ(skipped.commit_ns, 0);
}

// ---- the single item ----------------------------------------------------------------------------

CAIRN_BEHAVIOUR(SingleItem);
TEST_P(SingleItem, IsStateWhereThereIsNoDefault) {
  CheckpointManager writer(root(), given());
  const auto number = [](std::int64_t value) {
    return args::StandardSave(Tree(Dict{{"v", Tree(value)}}));
  };
  const auto save_items = [&](Step step, const std::vector<std::string>& names) {
    args::Composite items;
    for (std::size_t i = 0; i < names.size(); ++i) {
      items.add(names[i], number(static_cast<std::int64_t>(i)));
    }
    EXPECT_TRUE(writer.save(step, std::move(items)).get());
  };
  save_items(0, {"a", "state", "z"});
  save_items(1, {"a", "default", "state"});
  save_items(2, {"a", "z"});
  save_items(3, {"z"});
  CheckpointManager reader(root(), given());
  const auto value_at = [&](Step step) {
    return reader.restore(step, args::StandardRestore()).get().tree().at("v").as<std::int64_t>();
  };
  EXPECT_EQ(value_at(0), 1);
  EXPECT_EQ(value_at(1), 1) << "default goes before state";
  EXPECT_THAT(error_of([&] { static_cast<void>(value_at(2)); }).what(), HasSubstr("not just one"));
  EXPECT_EQ(value_at(3), 0) << "the only tree";
}

// ---- steps --------------------------------------------------------------------------------------

CAIRN_BEHAVIOUR(Overwritten);
TEST_P(Overwritten, TheOldStepIsReadableUntilTheNewOneCommits) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 4));
  SaveOptions again;
  again.overwrite = true;
  // The last thing that it does before it is there.
  faults_->hold(FaultPlan::only({IoOp::exchange}));
  const SaveFuture replacing = manager.save(4, state(44), again);
  faults_->wait_until_held(1);
  EXPECT_EQ(manager.all_steps(), Steps{4});
  EXPECT_EQ(value_of(manager, 4), 4);
  CheckpointManager other(root(), given());
  EXPECT_EQ(other.all_steps(), Steps{4});
  EXPECT_EQ(value_of(other), 4);
  faults_->release();
  EXPECT_TRUE(replacing.get());
  EXPECT_EQ(value_of(manager, 4), 44);
  EXPECT_EQ(value_of(other, 4), 44);
}

CAIRN_BEHAVIOUR(Listed);
TEST_P(Listed, StepsAscendInWhateverOrderTheyWereSaved) {
  CheckpointManager manager(root(), given());
  for (const Step step : {9, 100, 5, 20}) EXPECT_TRUE(save(manager, step, true));
  EXPECT_EQ(manager.all_steps(), (Steps{5, 9, 20, 100}));
  EXPECT_EQ(manager.latest_step(), 100);
  faults_->hold(FaultPlan::only({IoOp::write}));
  SaveOptions force;
  force.force = true;
  const SaveFuture under_way = manager.save(7, state(7), force);
  EXPECT_EQ(manager.all_steps(), (Steps{5, 7, 9, 20, 100})) << "not only those on disk";
  faults_->release();
  EXPECT_TRUE(under_way.get());
  EXPECT_EQ(manager.all_steps(true), (Steps{5, 7, 9, 20, 100}));
  CheckpointManager other(root(), given());
  EXPECT_EQ(other.all_steps(), (Steps{5, 7, 9, 20, 100}));
}

}  // namespace
}  // namespace cairn
