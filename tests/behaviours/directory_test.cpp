// Behaviours: what lies in a root, under which names, and what becomes of leftovers.

#include <atomic>
#include <future>
#include <memory>

#include "behaviours/behaviour.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using ::testing::HasSubstr;

// test_file_format
CAIRN_BEHAVIOUR(B004);
TEST_P(B004, PrefixAndLengthMakeTheStepsName) {
  struct Case {
    std::optional<std::string> prefix;
    std::optional<int> length;
    std::string name;
  };
  const Case cases[] = {{{}, {}, "0"},
                        {"checkpoint", {}, "checkpoint_0"},
                        {{}, 8, "00000000"},
                        {"checkpoint", 8, "checkpoint_00000000"}};
  for (const auto& [prefix, length, name] : cases) {
    ManagerOptions options = given();
    options.step_prefix = prefix;
    options.step_format_fixed_length = length;
    CheckpointManager manager(root() + "/of-" + name, options);
    EXPECT_TRUE(save(manager, 0));
    EXPECT_TRUE(exists("of-" + name + "/" + name + "/default/_METADATA"));
    EXPECT_EQ(manager.all_steps(true), Steps{0});
    EXPECT_EQ(value_of(manager, 0), 0);
    manager.delete_step(0).get();
    EXPECT_FALSE(exists("of-" + name + "/" + name));
  }
}

// test_all_steps_reload
CAIRN_BEHAVIOUR(B010);
TEST_P(B010, AnotherManagersStepsAreThereAfterReload) {
  CheckpointManager first(root(), given());
  save_all(first, 0, 1);
  CheckpointManager second(root(), given());
  save_all(second, 2, 3);
  EXPECT_EQ(first.all_steps(), (Steps{0, 1}));
  first.reload();
  EXPECT_EQ(first.all_steps(), (Steps{0, 1, 2, 3}));
}
TEST_P(B010, AReloadThatTakesLongBringsNoOlderViewBack) {
  ManagerOptions options = given();
  options.max_to_keep = 5;  // so that the steps' metadata is read
  CheckpointManager writer(root(), given());
  save_all(writer, 0, 0);
  CheckpointManager manager(root(), options);
  const auto seen = std::make_shared<std::atomic<int>>(0);
  faults_->hold([seen](const engine::IoRequest& request) {
    return request.op == IoOp::open && request.path == "0/_CHECKPOINT_METADATA" && (*seen)++ == 0;
  });
  std::future<void> slow = std::async(std::launch::async, [&manager] { manager.reload(); });
  faults_->wait_until_held(1);
  save_all(writer, 1, 1);
  manager.reload();
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1}));
  faults_->release();
  slow.get();
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1}));
}

// test_lightweight_intialize_loads_without_metadata_read
CAIRN_BEHAVIOUR(B011);
TEST_P(B011, ALightweightManagerReadsMetricsOnReload) {
  ManagerOptions options = given();
  options.best_fn = &loss_of;
  {
    CheckpointManager manager(root(), options);
    EXPECT_TRUE(save(manager, 0, loss(1)));
    EXPECT_TRUE(save(manager, 1, loss(2)));
  }
  std::set<double> seen;
  options.lightweight_initialize = true;
  options.best_mode = BestMode::min;
  options.best_fn = [&seen](const boost::json::object& metrics) {
    seen.insert(loss_of(metrics));
    return loss_of(metrics);
  };
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1}));
  EXPECT_EQ(manager.best_step(), std::nullopt);
  EXPECT_EQ(seen, std::set<double>()) << "the metrics are absent";
  manager.reload();
  EXPECT_EQ(manager.best_step(), 0);
  EXPECT_EQ(seen, (std::set<double>{1, 2})) << "they are real";
}

// test_save_preempted
CAIRN_BEHAVIOUR(B026);
TEST_P(B026, ATemporaryStepIsNoStepAndIsCleanedUp) {
  make_directory("0.orbax-checkpoint-tmp/default");
  write_text("0.orbax-checkpoint-tmp/default/file", "half");
  ManagerOptions options = given();
  options.cleanup_tmp_directories = true;
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.all_steps(), Steps());
  EXPECT_FALSE(exists("0.orbax-checkpoint-tmp"));
  EXPECT_TRUE(save(manager, 1));
  EXPECT_EQ(manager.all_steps(true), Steps{1});
}

// test_save_preempted_mock
CAIRN_BEHAVIOUR(B028);
TEST_P(B028, AStepWithALeftoverCanBeSaved) {
  make_directory("0.orbax-checkpoint-tmp/default");
  write_text("0.orbax-checkpoint-tmp/default/file", "half");
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 0));
  EXPECT_EQ(value_of(manager, 0), 0);
  EXPECT_FALSE(exists("0.orbax-checkpoint-tmp"));
  EXPECT_FALSE(exists("0/default/file"));
}

// test_save_restore_gcs, test_configure_atomicity
CAIRN_BEHAVIOUR(B029);
TEST_P(B029, ACommitFileMakesTheStep) {
  ManagerOptions options = given();
  options.atomicity = Atomicity::commit_file;
  CheckpointManager manager(root(), options);
  faults_->hold([](const engine::IoRequest& request) {
    return request.op == IoOp::open && request.path == "commit_success.txt" && request.fd >= 0;
  });
  const SaveFuture saved = manager.save(0, state(0));
  faults_->wait_until_held(1);
  EXPECT_TRUE(exists("0"));
  EXPECT_FALSE(exists("0/commit_success.txt"));
  CheckpointManager reader(root(), options);
  EXPECT_EQ(reader.all_steps(), Steps());
  faults_->release();
  EXPECT_TRUE(saved.get());
  EXPECT_TRUE(exists("0/commit_success.txt"));
  EXPECT_EQ(manager.all_steps(true), Steps{0});
  EXPECT_EQ(value_of(manager, 0), 0);
}
TEST_P(B029, WithoutItTheDirectoryOfASaveIsALeftover) {
  ManagerOptions options = given();
  options.atomicity = Atomicity::commit_file;
  make_directory("0/default");
  write_text("0/default/file", "half");
  write_text("0/_CHECKPOINT_METADATA",
             R"({"init_timestamp_nsecs": 1, "commit_timestamp_nsecs": null})");
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.all_steps(), Steps());
  const Error error = error_of([&] { static_cast<void>(manager.restore(0).get()); });
  EXPECT_EQ(error.code(), ErrorCode::incomplete_checkpoint);
  EXPECT_TRUE(save(manager, 0));
  EXPECT_EQ(value_of(manager, 0), 0);
  EXPECT_FALSE(exists("0/default/file"));
}
// An Orbax that wrote no markers made steps that look like this.
TEST_P(B029, WithoutItADirectoryThatIsNotKnownToBeOfASaveStays) {
  ManagerOptions options = given();
  options.atomicity = Atomicity::commit_file;
  make_directory("0/default");
  write_text("0/default/file", "whole");
  write_text("0/_CHECKPOINT_METADATA",
             R"({"init_timestamp_nsecs": 1, "commit_timestamp_nsecs": 2})");
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.all_steps(), Steps());
  const Error error = error_of([&] { static_cast<void>(save(manager, 0)); });
  EXPECT_EQ(error.code(), ErrorCode::already_exists);
  EXPECT_THAT(error.what(), HasSubstr("Atomicity::rename"));
  EXPECT_EQ(read_text("0/default/file"), "whole");
  EXPECT_TRUE(save(manager, 1));
}

// test_restore_independent
CAIRN_BEHAVIOUR(B037);
TEST_P(B037, ARestoreMayBeFromAnotherDirectory) {
  CheckpointManager full(root() + "/full", given());
  save_all(full, 0, 1);
  CheckpointManager empty(root() + "/empty", given());
  const Error error = error_of([&] { static_cast<void>(empty.restore(0).get()); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  RestoreOptions elsewhere;
  elsewhere.directory = root() + "/full";
  Restored zero = empty.restore(0, {}, elsewhere).get();
  EXPECT_EQ(zero.tree(), Tree(state(0)));
  EXPECT_EQ(empty.restore({}, {}, elsewhere).get().step(), 1);
}

// test_empty_metadata
CAIRN_BEHAVIOUR(B040);
TEST_P(B040, WithoutMetadataTheRootHasNone) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(save(manager, 0));
  EXPECT_FALSE(exists("_ROOT_METADATA"));
  EXPECT_TRUE(manager.metadata().get().custom_metadata.empty());
}

// test_directory_creation
CAIRN_BEHAVIOUR(B044);
TEST_P(B044, TheRootIsMadeOnce) {
  EXPECT_FALSE(std::filesystem::exists(root()));
  { CheckpointManager manager(root() + "/a/b", given()); }
  EXPECT_TRUE(exists("a/b"));
  { CheckpointManager manager(root() + "/a/b", given()); }
}

// test_should_save_returns_false_when_read_only
CAIRN_BEHAVIOUR(B052);
TEST_P(B052, AReadOnlyManagerWritesNothing) {
  {
    CheckpointManager manager(root(), given());
    EXPECT_TRUE(save(manager, 0));
  }
  const std::vector<std::string> before = entries();
  ManagerOptions options = given();
  options.read_only = true;
  options.max_to_keep = 1;
  CheckpointManager manager(root(), options);
  EXPECT_FALSE(manager.should_save(1));
  for (const bool force : {false, true}) {
    EXPECT_EQ(save(manager, 1, force).outcome, SaveOutcome::skipped_read_only);
  }
  const Error error = error_of([&] { manager.delete_step(0).get(); });
  EXPECT_EQ(error.code(), ErrorCode::permission_denied);
  EXPECT_EQ(value_of(manager, 0), 0);
  EXPECT_EQ(entries(), before);
}

// test_metadata_save_skipped_when_always_read_only
CAIRN_BEHAVIOUR(B053);
TEST_P(B053, AReadOnlyManagerKeepsItsMetadataInMemory) {
  make_directory("");
  ManagerOptions options = given();
  options.read_only = true;
  options.metadata["run"] = "a";
  CheckpointManager manager(root(), options);
  EXPECT_EQ(manager.metadata().get().custom_metadata, options.metadata);
  EXPECT_EQ(entries(), std::vector<std::string>());
}

// test_custom_metadata_with_legacy_metadata_file
CAIRN_BEHAVIOUR(B055);
TEST_P(B055, OlderRootMetadataIsCustomMetadata) {
  boost::json::object expected;
  expected["run"] = "old";
  expected["lr"] = 0.5;
  make_directory("new");
  write_text("new/_ROOT_METADATA", R"({"run": "old", "lr": 0.5})");
  make_directory("old/metadata");
  write_text("old/metadata/metadata", R"({"run": "old", "lr": 0.5})");
  for (const bool read_only : {false, true}) {
    for (const std::string name : {"new", "old"}) {
      ManagerOptions options = given();
      options.read_only = read_only;
      options.metadata["run"] = "ignored: there is some already";
      CheckpointManager manager(root() + "/" + name, options);
      EXPECT_EQ(manager.metadata().get().custom_metadata, expected) << name << read_only;
    }
  }
  EXPECT_FALSE(exists("old/_ROOT_METADATA"));
}

// test_save_root_metadata_disabled
CAIRN_BEHAVIOUR(B065);
TEST_P(B065, RootMetadataIsWrittenByTheFirstManagerThatMay) {
  ManagerOptions options = given();
  options.metadata["run"] = "a";
  options.save_root_metadata = false;
  {
    CheckpointManager manager(root(), options);
    EXPECT_TRUE(manager.metadata().get().custom_metadata.empty());
    EXPECT_FALSE(exists("_ROOT_METADATA"));
  }
  options.save_root_metadata = true;
  { CheckpointManager manager(root(), options); }
  EXPECT_TRUE(exists("_ROOT_METADATA"));
  ManagerOptions other = given();
  other.metadata["run"] = "b";
  CheckpointManager manager(root(), other);
  EXPECT_EQ(manager.metadata().get().custom_metadata, options.metadata);
}

// test_metadata_finalize_preemption
CAIRN_BEHAVIOUR(B067);
TEST_P(B067, BeforeTheCommitTheMetadataHasNoCommitTime) {
  ManagerOptions options = given();
  std::string seen;
  options.post_finalization_callback = [&](Step) {
    seen = read_text("0.orbax-checkpoint-tmp/_CHECKPOINT_METADATA");
    throw std::runtime_error("preempted");
  };
  CheckpointManager manager(root(), options);
  const Error error = error_of([&] { static_cast<void>(save(manager, 0)); });
  EXPECT_THAT(error.what(), HasSubstr("preempted"));
  const boost::json::value metadata = orbax::parse_json(seen, "metadata");
  EXPECT_TRUE(metadata.at("init_timestamp_nsecs").is_int64());
  EXPECT_TRUE(metadata.at("commit_timestamp_nsecs").is_null());
  EXPECT_FALSE(exists("0"));
  EXPECT_FALSE(exists("0.orbax-checkpoint-tmp"));
}

// test_create, test_finalize
CAIRN_BEHAVIOUR(B088);
TEST_P(B088, AStepHasItsTemporaryNameAndThenItsOwn) {
  CheckpointManager manager(root(), given());
  faults_->hold(FaultPlan::only({IoOp::rename}));
  const SaveFuture saved = manager.save(0, state(0));
  faults_->wait_until_held(1);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0.orbax-checkpoint-tmp"}));
  faults_->release();
  EXPECT_TRUE(saved.get());
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
}

// test_cleanup_temporary_paths; what neither Cairn nor Orbax made stays
CAIRN_BEHAVIOUR(B089);
TEST_P(B089, CleaningUpRemovesTemporaryDirectoriesOfStepsAlone) {
  for (const std::string name :
       {"1.orbax-checkpoint-tmp", "2.orbax-checkpoint-tmp-1700000000",
        "3.orbax-checkpoint-tmp-deleted-0123456789abcdef", "logs.orbax-checkpoint-tmp",
        "4.orbax-checkpoint-tmp-mine", "logs", "4"}) {
    make_directory(name);
  }
  write_text("5.orbax-checkpoint-tmp", "a file");
  ManagerOptions options = given();
  options.cleanup_tmp_directories = true;
  CheckpointManager manager(root(), options);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "4", "4.orbax-checkpoint-tmp-mine",
                                                 "5.orbax-checkpoint-tmp", "logs",
                                                 "logs.orbax-checkpoint-tmp"}));
}

// test_save_preempted
CAIRN_BEHAVIOUR(B097);
TEST_P(B097, ATemporaryDirectoryIsAnIncompleteCheckpoint) {
  make_directory("0.orbax-checkpoint-tmp");
  CheckpointManager manager(root(), given());
  const Error error = error_of([&] { static_cast<void>(manager.restore(0).get()); });
  EXPECT_EQ(error.code(), ErrorCode::incomplete_checkpoint);
  EXPECT_THAT(error.what(), HasSubstr(root() + "/0"));
}

}  // namespace
}  // namespace cairn
