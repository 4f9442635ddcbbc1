// Where Cairn deliberately does better than Orbax, as far as policies, names and deletions go.

#include <sys/stat.h>

#include <csignal>

#include "behaviours/behaviour.h"
#include "support/log_records.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;
using test::LogRecords;
using ::testing::HasSubstr;

CAIRN_BEHAVIOUR(RollBack);
TEST_P(RollBack, ASaveThatWouldBeSkippedForEverIsAnError) {
  CheckpointManager manager(root(), given());
  save_all(manager, 0, 4);
  EXPECT_EQ(save(manager, 2).outcome, SaveOutcome::skipped_older_step);
  EXPECT_EQ(value_of(manager, 1), 1);
  EXPECT_TRUE(manager.should_save(2));
  const Error error = error_of([&] { static_cast<void>(save(manager, 2)); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("on_older_step"));
  EXPECT_EQ(save(manager, 1).outcome, SaveOutcome::skipped_older_step);
  EXPECT_TRUE(save(manager, 5));
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2, 3, 4, 5}));
}
TEST_P(RollBack, LaterStepsGoWhereTheyAreSuperseded) {
  ManagerOptions options = given();
  options.on_older_step = OlderStep::supersede;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 4);
  EXPECT_EQ(value_of(manager, 1), 1);
  EXPECT_TRUE(manager.save(2, state(20)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2}));
  EXPECT_EQ(value_of(manager, 2), 20);
  save_all(manager, 3, 3);
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2, 3}));
}
TEST_P(RollBack, TheyComeBackWhereTheSaveFails) {
  ManagerOptions options = given();
  options.on_older_step = OlderStep::supersede;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 4);
  EXPECT_EQ(value_of(manager, 1), 1);
  faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  EXPECT_EQ(error_of([&] { static_cast<void>(save(manager, 3)); }).code(), ErrorCode::io_error);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2, 3, 4}));
  EXPECT_EQ(value_of(manager, 3), 3);
}
TEST_P(RollBack, OrbaxsWayIsToSkip) {
  ManagerOptions options = given();
  options.on_older_step = OlderStep::skip;
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 4);
  EXPECT_EQ(value_of(manager, 1), 1);
  EXPECT_FALSE(manager.should_save(2));
  EXPECT_EQ(save(manager, 2).outcome, SaveOutcome::skipped_older_step);
}

CAIRN_BEHAVIOUR(VerifiedDeletion);
TEST_P(VerifiedDeletion, OlderStepsStayWhereTheNewOneDoesNotReadBack) {
  struct Case {
    VerifyBeforeDelete verify;
    const char* file;  // of the item; empty: its data file
    bool seen;
  };
  const Case cases[] = {{VerifyBeforeDelete::none, "manifest.ocdbt", false},
                        {VerifyBeforeDelete::manifest, "manifest.ocdbt", true},
                        {VerifyBeforeDelete::manifest, "", false},
                        {VerifyBeforeDelete::full, "", true}};
  int number = 0;
  for (const auto& [verify, file, seen] : cases) {
    const std::string place = root() + "/" + std::to_string(number++);
    {
      CheckpointManager manager(place, given());
      save_all(manager, 0, 1);
    }
    ManagerOptions options = given();
    options.max_to_keep = 1;
    options.verify_before_delete = verify;
    options.post_finalization_callback = [&, name = std::string(file)](Step step) {
      const std::string item =
          place + "/" + std::to_string(step) + ".orbax-checkpoint-tmp/default/";
      std::string damaged = item + name;
      std::uintmax_t most = 0;
      if (name.empty()) {
        for (const auto& entry : std::filesystem::directory_iterator(item + "d")) {
          if (entry.file_size() <= most) continue;
          most = entry.file_size();
          damaged = entry.path();
        }
      }
      std::fstream stream(damaged, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(name.empty() ? 100 : 20);
      stream << "damage";
    };
    CheckpointManager manager(place, options);
    Array big(DType::float32, {1 << 18});
    EXPECT_TRUE(manager.save(2, Dict{{"big", Tree(std::move(big))}}).get());
    if (seen) {
      const Error error = error_of([&] { manager.wait_until_finished().get(); });
      EXPECT_EQ(error.code(), ErrorCode::data_loss);
      EXPECT_THAT(error.what(), HasSubstr("older steps are kept"));
      EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2})) << number;
      EXPECT_EQ(value_of(manager, 1), 1);
    } else {
      manager.wait_until_finished().get();
      EXPECT_EQ(manager.all_steps(true), (Steps{2})) << number;
    }
  }
}
TEST_P(VerifiedDeletion, AStepKeepsItsContentWhereWhatOverwritesItDoesNotReadBack) {
  for (const std::string format : {"", "old"}) {
    const std::string place = root() + "/of-" + format;
    ManagerOptions before = given();
    if (!format.empty()) before.step_prefix = format;
    {
      CheckpointManager manager(place, before);
      save_all(manager, 0, 1);
    }
    ManagerOptions options = given();
    options.step_name_format =
        composite_name_format(standard_name_format(), {standard_name_format("old")});
    options.max_to_keep = 1;
    bool broken = true;
    options.post_finalization_callback = [&](Step step) {
      if (!broken) return;
      const std::string temporary = place + "/" + std::to_string(step) + ".orbax-checkpoint-tmp/";
      std::ofstream(temporary + "default/manifest.ocdbt") << "lost";
    };
    CheckpointManager manager(place, options);
    SaveOptions again;
    again.overwrite = true;
    const Error error = error_of(manager.save(1, state(10), again));
    EXPECT_EQ(error.code(), ErrorCode::data_loss);
    EXPECT_THAT(error.what(), HasSubstr("the old one stays"));
    manager.wait_until_finished().get();
    EXPECT_EQ(value_of(manager, 1), 1);
    EXPECT_EQ(manager.all_steps(true), (Steps{0, 1}));
    broken = false;
    EXPECT_TRUE(manager.save(1, state(10), again).get());
    manager.wait_until_finished().get();
    CheckpointManager restarted(place, options);
    EXPECT_EQ(restarted.all_steps(), (Steps{1}));
    EXPECT_EQ(value_of(restarted, 1), 10);
  }
}
TEST_P(VerifiedDeletion, NoSoundStepGoesForABetterOneThatDoesNotReadBack) {
  ManagerOptions options = given();
  options.best_fn = &loss_of;
  options.best_mode = BestMode::min;
  options.max_to_keep = 1;
  bool broken = true;
  options.post_finalization_callback = [&](Step step) {
    if (step == 2 && broken) write_text("2.orbax-checkpoint-tmp/default/manifest.ocdbt", "lost");
  };
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 1, loss(0.5)));
  manager.wait_until_finished().get();
  EXPECT_TRUE(save(manager, 2, loss(0.3)));
  EXPECT_EQ(error_of(manager.wait_until_finished()).code(), ErrorCode::data_loss);
  EXPECT_EQ(manager.all_steps(), (Steps{1, 2}));
  EXPECT_EQ(manager.best_step(), 1);
  manager.reload();
  EXPECT_EQ(manager.best_step(), 1) << "its metadata is as good as ever";
  EXPECT_TRUE(save(manager, 3, loss(0.4)));
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{2, 3}));
  EXPECT_EQ(manager.best_step(), 3);
  SaveOptions again;
  again.overwrite = true;
  again.metrics = loss(0.3);
  broken = false;
  EXPECT_TRUE(manager.save(2, state(2), std::move(again)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{2})) << "it is judged again";
}

CAIRN_BEHAVIOUR(BestSteps);
TEST_P(BestSteps, MissingMetricsAreAnErrorUnlessAllowed) {
  ManagerOptions options = given();
  options.best_fn = &loss_of;
  CheckpointManager manager(root(), options);
  const Error error = error_of([&] { static_cast<void>(save(manager, 0)); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("allow_missing_metrics"));
}
TEST_P(BestSteps, TheLatestIsKeptBesidesWhereAskedFor) {
  ManagerOptions options = given();
  options.best_fn = &loss_of;
  options.best_mode = BestMode::min;
  options.max_to_keep = 1;
  options.keep_latest = true;
  CheckpointManager manager(root(), options);
  for (Step step = 0; step < 4; ++step) {
    EXPECT_TRUE(save(manager, step, loss(static_cast<double>(step))));
  }
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 3}));
}
TEST_P(BestSteps, MetricsAreStoredWithoutABestFn) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 0, loss(3)));
  EXPECT_EQ(manager.metrics(0).get(), loss(3));
}

TEST_P(BestSteps, NoneGoesForABetterOneThatNeverCameToBe) {
  // Step 2 is worse than step 1, which is under way when 2 is judged, and then fails.
  for (const std::int64_t keep : {1, 2}) {
    ManagerOptions options = given();
    options.best_fn = &loss_of;
    options.max_to_keep = keep;
    CheckpointManager manager(root() + "/" + std::to_string(keep), options);
    if (keep == 2) {
      EXPECT_TRUE(save(manager, 0, loss(5)));
    }
    faults_->hold(FaultPlan::only({IoOp::sync_data}));
    SaveOptions good;
    good.metrics = loss(10);
    SaveOptions worse;
    worse.metrics = loss(keep == 2 ? 7 : 1);
    const SaveFuture first = manager.save(1, state(1), std::move(good));
    faults_->wait_until_held(1);
    const SaveFuture second = manager.save(2, state(2), std::move(worse));
    faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
    faults_->release();
    EXPECT_EQ(error_of([&] { static_cast<void>(first.get()); }).code(), ErrorCode::io_error);
    EXPECT_TRUE(second.get());
    manager.wait_until_finished().get();
    const Steps expected = keep == 1 ? Steps{2} : Steps{0, 2};
    EXPECT_EQ(manager.all_steps(), expected);
    EXPECT_EQ(manager.all_steps(true), expected);
    EXPECT_EQ(value_of(manager, 2), 2);
  }
}

CAIRN_BEHAVIOUR(Reporting);
TEST_P(Reporting, StrictErrorsFailTheNextSave) {
  ManagerOptions options = given();
  options.strict_errors = true;
  CheckpointManager manager(root(), options);
  faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  {
    const SaveFuture dropped = manager.save(0, state(0));
    while (!dropped.ready()) std::this_thread::yield();
  }
  EXPECT_EQ(error_of([&] { static_cast<void>(save(manager, 1)); }).code(), ErrorCode::io_error);
  EXPECT_TRUE(save(manager, 1));
}
TEST_P(Reporting, WithoutThemTheNextSaveCarriesTheError) {
  CheckpointManager manager(root(), given());
  faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  {
    const SaveFuture dropped = manager.save(0, state(0));
    while (!dropped.ready()) std::this_thread::yield();
  }
  const SaveResult next = save(manager, 1);
  EXPECT_TRUE(next);
  EXPECT_THAT(next.warning, HasSubstr("save step 0"));
}
TEST_P(Reporting, APolicyThatThrowsIsReportedAndKeepsEveryStep) {
  const auto logs = std::make_shared<LogRecords>();
  ManagerOptions options = given();
  options.logger = logs;
  options.preservation_policy = [](std::span<const CheckpointInfo>) -> std::vector<bool> {
    throw std::runtime_error("policy's own");
  };
  options.strict_errors = true;  // which is about saves, and these are good
  CheckpointManager manager(root(), options);
  save_all(manager, 0, 1);
  EXPECT_THAT(save(manager, 2).warning, HasSubstr("policy's own"));
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2}));
  EXPECT_THAT(logs->text(), HasSubstr("policy's own"));
  EXPECT_THAT([&] { manager.check_for_errors(); },
              ::testing::ThrowsMessage<Error>(HasSubstr("no step is deleted")));
  EXPECT_NO_THROW(manager.check_for_errors()) << "it is told once";
  EXPECT_TRUE(save(manager, 3));
  manager.wait_until_finished().get();
  manager.close().get();
}
TEST_P(Reporting, PoliciesMayCallGetters) {
  CheckpointManager* seen = nullptr;
  ManagerOptions options = given();
  std::vector<std::size_t> counts;
  options.should_save_fn = [&](Step, std::optional<Step>) {
    if (seen != nullptr) counts.push_back(seen->all_steps().size());
    return seen == nullptr || !seen->is_saving_in_progress();
  };
  CheckpointManager manager(root(), options);
  seen = &manager;
  EXPECT_TRUE(save(manager, 0));
  EXPECT_TRUE(save(manager, 1));
  EXPECT_EQ(counts, (std::vector<std::size_t>{0, 1}));
}

CAIRN_BEHAVIOUR(BackgroundDelete);
TEST_P(BackgroundDelete, IsNotWaitedForButClosedWith) {
  ManagerOptions options = given();
  options.max_to_keep = 1;
  options.enable_background_delete = true;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0));
  faults_->hold(FaultPlan::only({IoOp::remove_directory}));
  EXPECT_TRUE(save(manager, 1));
  manager.wait_until_finished().get();
  faults_->wait_until_held(1);
  EXPECT_FALSE(exists("0"));
  EXPECT_EQ(entries().size(), 3u) << "the lock, the step and the trash";
  EXPECT_TRUE(save(manager, 2)) << "a save does not wait for it either";
  Future<void> closed = manager.close();
  EXPECT_FALSE(closed.ready());
  faults_->release();
  closed.get();
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "2"}));
}
TEST_P(BackgroundDelete, ItsErrorsAreThoseOfClose) {
  ManagerOptions options = given();
  options.max_to_keep = 1;
  options.enable_background_delete = true;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0));
  faults_->fail(FaultPlan::only({IoOp::remove_directory}), 1, EACCES);
  EXPECT_TRUE(save(manager, 1));
  EXPECT_EQ(error_of([&] { manager.close().get(); }).code(), ErrorCode::permission_denied);
}

CAIRN_BEHAVIOUR(Roots);
TEST_P(Roots, AStepWithDamagedMetadataIsListedAndKept) {
  const auto logs = std::make_shared<LogRecords>();
  {
    CheckpointManager manager(root(), given());
    save_all(manager, 0, 1);
  }
  write_text("0/_CHECKPOINT_METADATA", "{\"item_handlers\": ");
  ManagerOptions options = given();
  options.max_to_keep = 1;
  options.logger = logs;
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1}));
  EXPECT_THAT(logs->text(), HasSubstr("the step is kept"));
  save_all(manager, 2, 3);
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 3}));
  EXPECT_EQ(value_of(manager, 0), 0);
}
TEST_P(Roots, ReadOnlyResetsWriteOptionsWithAWarning) {
  const auto logs = std::make_shared<LogRecords>();
  make_directory("");
  ManagerOptions options = given();
  options.read_only = true;
  options.max_to_keep = 1;
  options.todelete_subdir = "trash";
  options.logger = logs;
  CheckpointManager manager(root(), options);
  EXPECT_THAT(logs->text(), HasSubstr("max_to_keep, todelete_subdir"));
}
TEST_P(Roots, SeveralFormatsAreReadAndOneIsWritten) {
  {
    ManagerOptions old = given();
    old.step_prefix = "checkpoint";
    old.step_format_fixed_length = 4;
    CheckpointManager manager(root(), old);
    save_all(manager, 0, 1);
  }
  ManagerOptions options = given();
  options.step_name_format =
      composite_name_format(standard_name_format(), {standard_name_format("checkpoint", 4)});
  options.max_to_keep = 2;
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1}));
  EXPECT_EQ(value_of(manager, 0), 0);
  save_all(manager, 2, 2);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "2", "checkpoint_0001"}));
  SaveOptions again;
  again.overwrite = true;
  EXPECT_TRUE(manager.save(1, state(10), std::move(again)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1", "2"}));
  EXPECT_EQ(value_of(manager, 1), 10);
}
TEST_P(Roots, AStepWithTwoNamesIsDeletedUnderBoth) {
  for (const bool prefixed : {false, true}) {
    ManagerOptions old = given();
    if (prefixed) old.step_prefix = "old";
    CheckpointManager manager(root(), old);
    save_all(manager, 5, 7);
  }
  ManagerOptions options = given();
  options.step_name_format =
      composite_name_format(standard_name_format(), {standard_name_format("old")});
  options.max_to_keep = 2;
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.all_steps(), (Steps{5, 6, 7}));
  faults_->fail(
      [](const engine::IoRequest& request) {
        return request.op == IoOp::rename && request.path == "7";
      },
      1, EIO);
  EXPECT_EQ(error_of(manager.delete_step(7)).code(), ErrorCode::io_error);
  EXPECT_TRUE(exists("7")) << "the name that it is read by goes last";
  EXPECT_FALSE(exists("old_7"));
  EXPECT_EQ(manager.all_steps(true), (Steps{5, 6, 7}));
  manager.delete_step(7).get();
  EXPECT_EQ(manager.all_steps(true), (Steps{5, 6}));
  save_all(manager, 8, 8);
  EXPECT_EQ(manager.all_steps(true), (Steps{6, 8})) << "by rule, too";
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "6", "8", "old_6"}));
}
TEST_P(Roots, DirectoriesAreMadeWithTheModeAskedFor) {
  ManagerOptions options = given();
  options.path_permission_mode = 0700;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0));
  for (const std::string name : {"", "0", "0/default", "0/default/d"}) {
    struct stat status {};
    ASSERT_EQ(::stat((root() + "/" + name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0700u) << name;
  }
}
TEST_P(Roots, ADeletedStepWhoseNameIsTakenAsideGetsAFreshOne) {
  ManagerOptions options = given();
  options.todelete_subdir = "trash";
  CheckpointManager manager(root(), options);
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(save(manager, 0));
    manager.delete_step(0).get();
  }
  std::size_t aside = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root() + "/trash")) {
    EXPECT_THAT(entry.path().filename().string(), ::testing::StartsWith("0"));
    ++aside;
  }
  EXPECT_EQ(aside, 2u);
}
TEST_P(Roots, ContradictoryOptionsAreRefused) {
  const auto refused = [&](auto change, const char* text) {
    ManagerOptions options = given();
    change(options);
    const Error error = error_of([&] { CheckpointManager manager(root(), options); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr(text));
  };
  refused([](ManagerOptions& o) { o.keep_period = 0; }, "keep_period is 0");
  refused([](ManagerOptions& o) { o.keep_time_interval = 0ms; }, "keep_time_interval is 0");
  refused([](ManagerOptions& o) { o.keep_latest = true; }, "keep_latest");
  refused([](ManagerOptions& o) { o.todelete_subdir = "a/b"; }, "todelete_subdir");
  refused([](ManagerOptions& o) { o.todelete_subdir = "7"; }, "todelete_subdir");
  refused([](ManagerOptions& o) { o.step_prefix = "a/b"; }, "a/b");
  refused(
      [](ManagerOptions& o) {
        o.save_decision_policy = save_policy::FixedInterval(2);
        o.save_interval_steps = 3;
      },
      "save_decision_policy decides alone");
  refused(
      [](ManagerOptions& o) {
        o.preservation_policy = preservation::LatestN(1);
        o.max_to_keep = 3;
      },
      "preservation_policy decides alone");
  EXPECT_FALSE(std::filesystem::exists(root()));
}

TEST(Preemption, ARealSigtermIsANoticeAndDoesNotEndTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto run = [] {
    handle_sigterm_as_preemption();
    handle_sigterm_as_preemption();  // twice is once
    if (preemption_noticed()) std::exit(1);
    std::raise(SIGTERM);
    std::exit(preemption_noticed() ? 0 : 2);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace cairn
