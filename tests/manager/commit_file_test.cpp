// Atomicity::commit_file: a step has its name from the start and counts by its marker, and what has
// a step's name and no marker may be somebody else's.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoOp;
using engine::IoRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Steps = std::vector<Step>;

constexpr const char* kMarker = "commit_success.txt";
constexpr const char* kOwner = ".cairn_owner";
constexpr const char* kMetadata = "_CHECKPOINT_METADATA";
constexpr const char* kBegun = R"({"init_timestamp_nsecs": 1, "commit_timestamp_nsecs": null})";

class CommitFile : public test::ManagerTest {
 protected:
  // For all managers of a test: a plan is one engine's.
  CommitFile() {
    test::EngineSettings settings;
    settings.faults = faults_;
    given_ = options(settings);
    given_.atomicity = Atomicity::commit_file;
    fs::create_directories(root());
  }

  void put(const std::string& below, const std::string& text) const {
    const fs::path path = root() + "/" + below;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  [[nodiscard]] std::string read(const std::string& below) const {
    std::ifstream file(root() + "/" + below);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] bool exists(const std::string& below) const {
    return fs::exists(root() + "/" + below);
  }
  /// `op` with `name` in a directory of the root: items have markers, too.
  [[nodiscard]] FaultPlan::Predicate in(const std::string& directory, IoOp op,
                                        std::string name) const {
    return [path = root() + "/" + directory, op, name = std::move(name)](const IoRequest& request) {
      if (request.op != op || request.path != name) return false;
      std::error_code error;
      return fs::read_symlink("/proc/self/fd/" + std::to_string(request.fd), error) == path;
    };
  }

  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  ManagerOptions given_;
};
CAIRN_ON_EVERY_BACKEND(CommitFile);

// ---- what has the step's name -------------------------------------------------------------------

TEST_P(CommitFile, ASaveRefusesWhatMayBeSomebodyElsesStep) {
  const std::pair<std::string, std::string> contents[] = {
      {"default/file", "whole"},
      {kMetadata, R"({"init_timestamp_nsecs": 1, "commit_timestamp_nsecs": 2})"},
      {kMetadata, R"({"init_timestamp_nsecs": 1})"},
      {kMetadata, R"({"commit_timestamp_nsecs": nul)"},
      {kMetadata, "null"}};
  CheckpointManager manager(root(), given_);
  Step step = 0;
  for (const auto& [file, text] : contents) {
    const std::string name = std::to_string(step);
    put(name + "/" + file, text);
    const Error error = error_of(manager.save(step, state(step)));
    EXPECT_EQ(error.code(), ErrorCode::already_exists) << file << ": " << text;
    EXPECT_THAT(error.what(), HasSubstr(root() + "/" + name));
    EXPECT_THAT(error.what(), HasSubstr("Atomicity::rename"));
    EXPECT_EQ(read(name + "/" + file), text);
    ++step;
  }
  EXPECT_TRUE(manager.save(step, state(step)).get());
}

TEST_P(CommitFile, ASaveReplacesWhatIsKnownToBeOfASave) {
  put("0/default/file", "half");
  put("0/" + std::string(kOwner), "");
  put("1/default/file", "half");
  put("1/" + std::string(kMetadata), kBegun);
  fs::create_directory(root() + "/2");
  CheckpointManager manager(root(), given_);
  for (Step step = 0; step < 3; ++step) {
    EXPECT_TRUE(manager.save(step, state(step)).get());
    EXPECT_EQ(manager.restore(step).get().tree(), state(step));
    EXPECT_FALSE(exists(std::to_string(step) + "/default/file"));
  }
}

TEST_P(CommitFile, ASaveRefusesWhatIsNoDirectory) {
  put("0", "a file");
  fs::create_directory_symlink("/nowhere", root() + "/1");
  CheckpointManager manager(root(), given_);
  for (Step step = 0; step < 2; ++step) {
    EXPECT_EQ(error_of(manager.save(step, state(step))).code(), ErrorCode::already_exists);
  }
  EXPECT_EQ(read("0"), "a file");
  EXPECT_TRUE(fs::is_symlink(root() + "/1"));
}

// ---- the commit ---------------------------------------------------------------------------------

TEST_P(CommitFile, WhatACrashJustBeforeTheMarkerLeavesIsKnownToBeOfASave) {
  CheckpointManager manager(root(), given_);
  faults_->hold(in("0", IoOp::open, kMarker));
  const SaveFuture saved = manager.save(0, state(0));
  faults_->wait_until_held(1);
  EXPECT_TRUE(exists(std::string("0/") + kOwner));
  const std::string copy = root() + "-copy";
  fs::copy(root(), copy, fs::copy_options::recursive);
  faults_->release();
  EXPECT_TRUE(saved.get());
  EXPECT_FALSE(exists(std::string("0/") + kOwner)) << "nothing of the save stays in the step";

  CheckpointManager next(copy, given_);
  EXPECT_EQ(next.all_steps(), Steps());
  EXPECT_TRUE(next.save(0, state(7)).get());
  EXPECT_EQ(next.restore(0).get().tree(), state(7));
}

TEST_P(CommitFile, AMarkerThatCannotBeWrittenFailsTheSaveAndLeavesNothing) {
  CheckpointManager manager(root(), given_);
  faults_->fail(in("0", IoOp::open, kMarker), 1, ENOSPC);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::no_space);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock"));
  // It is there, and nobody has heard.
  faults_->fail_after(in("0", IoOp::open, kMarker), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::io_error);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock"));
  EXPECT_EQ(faults_->injected(), 2u);
  EXPECT_TRUE(manager.save(0, state(0)).get());
}

TEST_P(CommitFile, AMarkerThatCannotBeTakenBackLeavesTheOutcomeOpen) {
  CheckpointManager manager(root(), given_);
  faults_->fail_after(in("0", IoOp::open, kMarker), 1, EIO);
  faults_->fail(in("0", IoOp::unlink, kMarker), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::commit_unknown);
  EXPECT_EQ(manager.all_steps(), Steps());
  faults_->fail(in("0", IoOp::sync_all, ""), 1, EIO);
  EXPECT_EQ(error_of([&] { manager.reload(); }).code(), ErrorCode::io_error)
      << "its marker has to be certain first";
  EXPECT_EQ(manager.all_steps(), Steps());
  manager.reload();
  EXPECT_EQ(manager.all_steps(), Steps{0});
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

TEST_P(CommitFile, AMarkerStaysWhereAReaderHoldsTheStep) {
  CheckpointManager manager(root(), given_);
  const auto syncs = in("0/" + std::string(kMarker), IoOp::sync_data, "");
  faults_->fail(syncs, 1, EIO);
  faults_->hold(syncs);
  const SaveFuture saved = manager.save(0, state(0));
  faults_->wait_until_held(1);
  const HeldStep held = manager.wait_for_new_step(std::chrono::milliseconds(0), -1).get();
  ASSERT_TRUE(held.locked());
  faults_->release();
  const Error error = error_of(saved);
  EXPECT_EQ(error.code(), ErrorCode::commit_unknown);
  EXPECT_THAT(error.what(), HasSubstr("a reader holds the step"));
  EXPECT_TRUE(exists(std::string("0/") + kMarker));
  manager.reload();
  EXPECT_EQ(manager.all_steps(), Steps{0});
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

TEST_P(CommitFile, AStepIsNotHeldWhoseMarkerWasTakenBackMeanwhile) {
  const auto readers_faults = std::make_shared<FaultPlan>();
  test::EngineSettings settings;
  settings.faults = readers_faults;
  ManagerOptions reading = options(settings);
  reading.atomicity = Atomicity::commit_file;
  WatchOptions watched(reading);
  watched.timeout = std::chrono::milliseconds(0);
  StepIterator steps(root(), watched);
  CheckpointManager manager(root(), given_);
  const auto syncs = in("0/" + std::string(kMarker), IoOp::sync_data, "");
  faults_->fail(syncs, 1, EIO);
  faults_->hold(syncs);
  // It goes once before the commit, to be written anew; what the failed save leaves of it stays.
  faults_->fail(in("0", IoOp::unlink, kMetadata), 2, EIO);
  const SaveFuture saved = manager.save(0, state(0));
  faults_->wait_until_held(1);
  readers_faults->hold(in("0", IoOp::open, kMetadata));  // it has seen the marker
  Future<std::optional<Step>> found = steps.next();
  readers_faults->wait_until_held(1);
  faults_->release();
  EXPECT_EQ(error_of(saved).code(), ErrorCode::io_error);
  EXPECT_TRUE(exists(std::string("0/") + kMetadata));
  EXPECT_FALSE(exists(std::string("0/") + kMarker));
  readers_faults->release();
  EXPECT_EQ(found.get(), std::nullopt);
}

TEST_P(CommitFile, WhatCannotBeRemovedOfAFailedSaveIsKnownToBeOfOne) {
  CheckpointManager manager(root(), given_);
  faults_->fail(in("0", IoOp::open, kMarker), 1, ENOSPC);
  // The owner record goes last: what is unlinked before it is gone.
  faults_->fail(in("0", IoOp::unlink, kOwner), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::no_space);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(root() + "/0"))
    left.push_back(entry.path().filename());
  EXPECT_THAT(left, ElementsAre(kOwner));
  EXPECT_TRUE(manager.save(0, state(0)).get());
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

TEST_P(CommitFile, AMarkerThatItsWriterDiedOverIsNoDamage) {
  CheckpointManager manager(root(), given_);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  put(std::string("0/") + kMarker, "");
  const auto sound = [&] { return verify_step(given_.engine, root() + "/0").get().ok(); };
  EXPECT_FALSE(sound());
  put(std::string("0/") + kOwner, "{}");
  EXPECT_TRUE(sound());
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

// ---- what it cannot do --------------------------------------------------------------------------

TEST_P(CommitFile, ARootCannotBeOpenedToSupersede) {
  given_.on_older_step = OlderStep::supersede;
  const Error error = error_of([&] { const CheckpointManager manager(root(), given_); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("on_older_step"));
  EXPECT_THAT(error.what(), HasSubstr("Atomicity::rename"));
  given_.on_older_step = OlderStep::skip;
  const CheckpointManager manager(root(), given_);
}

TEST_P(CommitFile, AStepCannotBeOverwritten) {
  CheckpointManager manager(root(), given_);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  SaveOptions overwrite;
  overwrite.overwrite = true;
  EXPECT_EQ(error_of(manager.save(0, state(1), overwrite)).code(), ErrorCode::not_supported);
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

// ---- cleaning up --------------------------------------------------------------------------------

class CommitFileCleanUp : public CommitFile {
 protected:
  CommitFileCleanUp() { given_.cleanup_tmp_directories = true; }
};
CAIRN_ON_EVERY_BACKEND(CommitFileCleanUp);

TEST_P(CommitFileCleanUp, RemovesWhatIsKnownToBeOfASave) {
  put("0/default/file", "half");
  put("0/" + std::string(kOwner), "");
  put("1/default/file", "half");
  put("1/" + std::string(kMetadata), kBegun);
  fs::create_directory(root() + "/2");
  put("3/default/file", "whole");
  put("4/" + std::string(kMarker), "");
  put("4/" + std::string(kOwner), "");  // of a crash just after the commit
  put("logs/" + std::string(kOwner), "");
  put("5", "a file");
  const CheckpointManager manager(root(), given_);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "2", "3", "4", "5", "logs"));
  EXPECT_EQ(read("3/default/file"), "whole");
  EXPECT_EQ(manager.all_steps(), Steps{4});
}

TEST_P(CommitFileCleanUp, LeavesStepsAloneWhereTheyCommitByRename) {
  put("0/" + std::string(kOwner), "");
  put("1/" + std::string(kMetadata), kBegun);
  fs::create_directory(root() + "/2");
  given_.atomicity = Atomicity::rename;
  const CheckpointManager manager(root(), given_);
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0", "1", "2"));
}

TEST_P(CommitFileCleanUp, LeavesWhatAReaderHolds) {
  put("0/" + std::string(kMetadata), kBegun);
  const int reader = ::open((root() + "/0/" + kMetadata).c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  ASSERT_EQ(::flock(reader, LOCK_SH), 0);
  { const CheckpointManager manager(root(), given_); }
  EXPECT_TRUE(exists("0"));
  ::close(reader);
  { const CheckpointManager manager(root(), given_); }
  EXPECT_FALSE(exists("0"));
}

TEST_P(CommitFileCleanUp, LeavesTheSaveOfAWriterThatLives) {
  CheckpointManager writer(root(), given_);
  faults_->hold(in("0", IoOp::open, kMarker));
  const SaveFuture saved = writer.save(0, state(0));
  faults_->wait_until_held(1);
  const CheckpointManager other(root(), given_);
  EXPECT_TRUE(exists("0"));
  faults_->release();
  EXPECT_TRUE(saved.get());
  EXPECT_EQ(writer.restore(0).get().tree(), state(0));
}

}  // namespace
}  // namespace cairn
