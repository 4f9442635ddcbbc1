// Watching a root: which steps are reported, and when.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "manager/watcher_fixture.h"

namespace cairn::test {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using engine::IoRequest;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Warnings final : public Logger {
 public:
  void log(const LogRecord& record) override {
    const std::lock_guard lock(mutex_);
    if (record.event == "watch") messages_.push_back(record.message);
  }
  [[nodiscard]] std::vector<std::string> messages() {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> messages_;
};

class StepIteratorTest : public WatcherTest {};
CAIRN_ON_EVERY_BACKEND(StepIteratorTest);

// ---- which steps ----

TEST_P(StepIteratorTest, ReportsEachStepOnceInOrderAndThenThoseToCome) {
  CheckpointManager manager(root(), trainer());
  for (const Step step : {3, 7, 10}) save(manager, step);
  StepIterator steps(root(), watcher());
  EXPECT_FALSE(steps.current());
  for (const Step step : {3, 7, 10}) {
    EXPECT_EQ(steps.next().get(), Found(step));
    EXPECT_EQ(steps.current().step(), step);
    EXPECT_TRUE(steps.current().locked());
    EXPECT_EQ(read_tree(engine_, steps.current().path()).get(), state(step));
  }
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  EXPECT_FALSE(next.ready());
  EXPECT_FALSE(steps.current());
  save(manager, 11);
  EXPECT_EQ(next.get(), Found(11));
}

TEST_P(StepIteratorTest, TakesTheNewestAloneWhereThatIsAskedForAndStepsAboveAGivenOne) {
  CheckpointManager manager(root(), trainer());
  for (const Step step : {3, 7, 10}) save(manager, step);
  WatchOptions options = watcher();
  options.timeout = milliseconds(0);
  options.after = 3;
  StepIterator all(root(), options);
  EXPECT_EQ(all.next().get(), Found(7));
  options.latest_only = true;
  StepIterator newest(root(), options);
  EXPECT_EQ(newest.next().get(), Found(10));
  EXPECT_EQ(newest.next().get(), Found());
  EXPECT_EQ(newest.next().get(), Found()) << "it may be asked again";
  save(manager, 11);
  EXPECT_EQ(newest.next().get(), Found(11));
}

TEST_P(StepIteratorTest, AStepCountsWhenItIsCommittedAndNotBefore) {
  CheckpointManager manager(root(), trainer());
  StepIterator steps(root(), watcher());
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  trainer_faults_->hold(FaultPlan::only({IoOp::rename}));
  SaveFuture saving = manager.save(1, state(1));
  trainer_faults_->wait_until_held(1);
  settle(*engine_, *faults_);
  EXPECT_FALSE(next.ready());
  trainer_faults_->release();
  EXPECT_EQ(next.get(), Found(1));
  EXPECT_TRUE(saving.get());
}

TEST_P(StepIteratorTest, WhatItReportsHasBeenSynced) {
  // The rename is there, and the writer's last sync fails: only another tells that it is for good.
  std::filesystem::create_directory(root());
  std::filesystem::create_directory(root() + "/5");
  WatchOptions options = watcher();
  options.timeout = milliseconds(0);
  StepIterator steps(root(), options);
  faults_->fail(FaultPlan::only({IoOp::sync_all}), 1, EIO);
  EXPECT_EQ(error_of(steps.next()).code(), ErrorCode::io_error);
  EXPECT_EQ(steps.next().get(), Found(5)) << "it was not lost";
  EXPECT_FALSE(steps.current().locked()) << "it has no metadata file";
  StepIterator read_only(root(), options);
  faults_->fail(FaultPlan::only({IoOp::sync_all}), 1, EROFS);
  EXPECT_EQ(read_only.next().get(), Found(5));
}

TEST_P(StepIteratorTest, WithCommitByFileTheMarkerMakesTheStep) {
  ManagerOptions given = trainer();
  given.atomicity = Atomicity::commit_file;
  CheckpointManager manager(root(), given);
  WatchOptions options(given);
  options.engine = engine_;
  StepIterator steps(root(), options);
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  trainer_faults_->hold([](const IoRequest& request) {
    return request.op == IoOp::open && request.path == "commit_success.txt";
  });
  SaveFuture saving = manager.save(1, state(1));
  trainer_faults_->wait_until_held(1);
  ASSERT_TRUE(std::filesystem::exists(root() + "/1"));
  settle(*engine_, *faults_);
  EXPECT_FALSE(next.ready());
  trainer_faults_->release();
  EXPECT_EQ(next.get(), Found(1));
  EXPECT_TRUE(saving.get());
}

TEST_P(StepIteratorTest, FollowsEveryFormOfNames) {
  ManagerOptions prefixed = trainer();
  prefixed.step_prefix = "step";
  prefixed.step_format_fixed_length = 6;
  ManagerOptions mixed = trainer();
  mixed.step_name_format =
      composite_name_format(standard_name_format("new"), {standard_name_format("step", 6)});
  CheckpointManager first(root(), prefixed);
  WatchOptions options(mixed);
  options.engine = engine_;
  StepIterator steps(root(), options);
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  std::filesystem::create_directory(root() + "/17");  // not called as steps are here
  save(first, 4);
  EXPECT_EQ(next.get(), Found(4));
  EXPECT_THAT(steps.current().path(), HasSubstr("/step_000004"));
  next = steps.next();
  wait_until_it_sleeps();
  CheckpointManager second(root(), mixed);
  save(second, 5);
  EXPECT_EQ(next.get(), Found(5));
  EXPECT_THAT(steps.current().path(), HasSubstr("/new_5"));
}

TEST_P(StepIteratorTest, AStepThatIsDeletedWhileItIsTakenIsLeftOut) {
  CheckpointManager manager(root(), trainer());
  for (const Step step : {1, 2, 3}) save(manager, step);
  StepIterator steps(root(), watcher());
  faults_->hold(FaultPlan::only({IoOp::lock}));
  Future<Found> next = steps.next();
  faults_->wait_until_held(1);
  manager.delete_step(1).get();
  faults_->release();
  EXPECT_EQ(next.get(), Found(2));
  // Or its deletion is just under way: its metadata file is locked.
  const int writer = ::open((root() + "/3/_CHECKPOINT_METADATA").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(writer, LOCK_EX | LOCK_NB), 0);
  WatchOptions options = watcher();
  options.after = 2;
  options.timeout = milliseconds(0);
  StepIterator others(root(), options);
  EXPECT_EQ(others.next().get(), Found());
  ::close(writer);
  EXPECT_EQ(others.next().get(), Found(3));
}

TEST_P(StepIteratorTest, AStepThatCannotBeReadIsPassedOverForTheNext) {
  CheckpointManager manager(root(), trainer());
  save(manager, 0);
  faults_->fail(
      [](const IoRequest& request) {
        return request.op == IoOp::open && request.path == "_CHECKPOINT_METADATA";
      },
      1, EIO, 2);
  const auto warnings = std::make_shared<Warnings>();
  WatchOptions options = watcher();
  options.logger = warnings;
  StepIterator steps(root(), options);
  EXPECT_EQ(error_of(steps.next()).code(), ErrorCode::io_error);
  save(manager, 1);
  EXPECT_EQ(steps.next().get(), Found(1));
  EXPECT_THAT(warnings->messages(), ElementsAre(HasSubstr("passed over")));
}

// ---- how long ----

TEST_P(StepIteratorTest, ATimeoutEndsItUnlessItsFunctionSaysThatMoreWillCome) {
  CheckpointManager manager(root(), trainer());
  WatchOptions options = watcher();
  options.timeout = seconds(90);
  StepIterator plain(root(), options);
  Future<Found> ended = plain.next();
  pass(seconds(60));  // looks, though nothing was heard
  pass(seconds(29));
  EXPECT_FALSE(ended.ready());
  pass(seconds(1));
  EXPECT_EQ(ended.get(), Found());

  std::atomic<int> asked = 0;
  options.timeout = seconds(10);
  options.timeout_fn = [&asked] { return ++asked == 3; };
  StepIterator patient(root(), options);
  Future<Found> next = patient.next();
  for (int round = 1; round <= 2; ++round) {
    pass(seconds(10));
    while (asked < round) std::this_thread::yield();
  }
  wait_until_it_sleeps();
  save(manager, 0);
  EXPECT_EQ(next.get(), Found(0));
  next = patient.next();
  pass(seconds(10));
  EXPECT_EQ(next.get(), Found()) << "it said that there will be no more";
  EXPECT_EQ(asked, 3);

  options.timeout_fn = []() -> bool { throw std::runtime_error("the trainer's pid is not known"); };
  options.timeout = milliseconds(0);
  options.after = 0;
  StepIterator at_once(root(), options);
  EXPECT_THAT(error_of(at_once.next()).what(), HasSubstr("the trainer's pid is not known"));
}

TEST_P(StepIteratorTest, KeepsItsDistanceBetweenSteps) {
  CheckpointManager manager(root(), trainer());
  for (const Step step : {0, 1}) save(manager, step);
  WatchOptions options = watcher();
  options.min_interval = seconds(30);
  StepIterator steps(root(), options);
  EXPECT_EQ(steps.next().get(), Found(0)) << "the first at once";
  Future<Found> next = steps.next();
  pass(seconds(29));
  EXPECT_FALSE(next.ready());
  pass(seconds(1));
  EXPECT_EQ(next.get(), Found(1));
}

TEST_P(StepIteratorTest, WhereInotifyCannotTheRootIsPolled) {
  CheckpointManager manager(root(), trainer());
  faults_->fail(FaultPlan::only({IoOp::watch}), 1, ENOSPC, FaultPlan::kForever);
  const auto warnings = std::make_shared<Warnings>();
  WatchOptions options = watcher();
  options.poll_interval = milliseconds(200);
  options.logger = warnings;
  StepIterator steps(root(), options);
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  save(manager, 0);
  settle(*engine_, *faults_);
  EXPECT_FALSE(next.ready());
  pass(milliseconds(199));
  settle(*engine_, *faults_);
  EXPECT_FALSE(next.ready());
  pass(milliseconds(1));
  EXPECT_EQ(next.get(), Found(0));
  next = steps.next();
  pass(milliseconds(200));
  pass(milliseconds(200));
  next.cancel();
  EXPECT_EQ(error_of(next).code(), ErrorCode::cancelled);
  EXPECT_THAT(warnings->messages(), ElementsAre(HasSubstr("looked at every 200 ms")));
}

// ---- where ----

TEST_P(StepIteratorTest, TheRootMayComeLater) {
  const std::string far = root() + "/jobs/7/steps";
  StepIterator steps(far, watcher());
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  std::filesystem::create_directories(root() + "/jobs");
  CheckpointManager manager(far, trainer());
  save(manager, 0);
  EXPECT_EQ(next.get(), Found(0));
}

TEST_P(StepIteratorTest, ADirectoryAboveTheRootNeedNotBeReadable) {
  std::filesystem::create_directory(root());
  faults_->fail(
      [this](const IoRequest& request) {
        return request.op == IoOp::open && request.path == root();
      },
      1, EACCES, FaultPlan::kForever);
  StepIterator steps(root() + "/jobs", watcher());
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  CheckpointManager manager(root() + "/jobs", trainer());
  save(manager, 0);
  settle(*engine_, *faults_);
  EXPECT_FALSE(next.ready());
  pass(seconds(1));
  EXPECT_EQ(next.get(), Found(0));
  StepIterator unreadable(root(), watcher());
  EXPECT_EQ(error_of(unreadable.next()).code(), ErrorCode::permission_denied);
}

TEST_P(StepIteratorTest, AnotherRootMayTakeItsPlace) {
  {
    CheckpointManager manager(root(), trainer());
    save(manager, 5);
  }
  StepIterator steps(root(), watcher());
  EXPECT_EQ(steps.next().get(), Found(5));
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  std::filesystem::rename(root(), root() + ".old");
  CheckpointManager manager(root(), trainer());
  save(manager, 4);
  save(manager, 6);
  EXPECT_EQ(next.get(), Found(6)) << "4 is not above the last";
  // A link that leads elsewhere is not heard of, and found when it is looked anyway.
  std::filesystem::remove_all(root() + ".old");
  std::filesystem::create_directory_symlink(root(), root() + ".link");
  WatchOptions options = watcher();
  options.after = 6;
  StepIterator linked(root() + ".link", options);
  next = linked.next();
  wait_until_it_sleeps();
  CheckpointManager elsewhere(root() + ".new", trainer());
  save(elsewhere, 7);
  std::filesystem::remove(root() + ".link");
  std::filesystem::create_directory_symlink(root() + ".new", root() + ".link");
  settle(*engine_, *faults_);
  EXPECT_FALSE(next.ready());
  pass(seconds(60));
  EXPECT_EQ(next.get(), Found(7));
}

TEST_P(StepIteratorTest, NothingIsWritten) {
  {
    CheckpointManager manager(root(), trainer());
    save(manager, 0);
  }
  std::filesystem::remove(root() + "/.cairn.lock");
  const auto time = std::filesystem::last_write_time(root());
  WatchOptions options = watcher();
  options.timeout = milliseconds(0);
  StepIterator steps(root(), options);
  EXPECT_EQ(steps.next().get(), Found(0));
  EXPECT_EQ(steps.next().get(), Found());
  EXPECT_THAT(entries(), ElementsAre("0"));
  EXPECT_EQ(std::filesystem::last_write_time(root()), time);
  StepIterator missing(root() + "/none", options);
  EXPECT_EQ(missing.next().get(), Found());
  EXPECT_FALSE(std::filesystem::exists(root() + "/none"));
}

TEST_P(StepIteratorTest, WhatCannotBeADirectoryIsAnError) {
  std::filesystem::create_directory(root());
  std::ofstream(root() + "/file") << "x";
  StepIterator file(root() + "/file", watcher());
  EXPECT_EQ(error_of(file.next()).code(), ErrorCode::invalid_argument);
  StepIterator below(root() + "/file/below", watcher());
  EXPECT_EQ(error_of(below.next()).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { StepIterator("", watcher()); }).code(), ErrorCode::invalid_argument);
  WatchOptions negative = watcher();
  negative.timeout = milliseconds(-1);
  EXPECT_THAT(error_of([&] { StepIterator(root(), negative); }).what(), HasSubstr("timeout is -1"));
  WatchOptions busy = watcher();
  busy.poll_interval = milliseconds(0);
  EXPECT_THAT(error_of([&] { StepIterator(root(), busy); }).what(), HasSubstr("poll_interval"));
  WatchOptions for_ever = watcher();
  for_ever.timeout = milliseconds::max();
  for_ever.poll_interval = milliseconds::max();
  for_ever.min_interval = milliseconds::max();
  StepIterator patient(root(), for_ever);
  Future<Found> next = patient.next();
  wait_until_it_sleeps();
  EXPECT_FALSE(next.ready());
}

// ---- steps that are being deleted ----

class DeletedMeanwhile : public StepIteratorTest {
 protected:
  DeletedMeanwhile() {
    for (const Step step : {0, 1}) save(manager_, step);
  }
  static bool is_deletion(const IoRequest& request) {
    return request.op == IoOp::rename && request.path2.find("-deleted-") != std::string::npos;
  }
  /// Of step 0: it hangs in its rename, under the lock that keeps readers out.
  Future<void> begin_delete() {
    trainer_faults_->hold(is_deletion);
    Future<void> deleted = manager_.delete_step(0);
    trainer_faults_->wait_until_held(1);
    return deleted;
  }
  [[nodiscard]] WatchOptions at_once() const {
    WatchOptions options = watcher();
    options.timeout = milliseconds(0);
    return options;
  }
  CheckpointManager manager_{root(), trainer()};
};
CAIRN_ON_EVERY_BACKEND(DeletedMeanwhile);

TEST_P(DeletedMeanwhile, AStepComesOnceBehindLaterOnesWhereThatFails) {
  StepIterator steps(root(), at_once());
  trainer_faults_->fail(is_deletion, 1, EIO);
  Future<void> deleted = begin_delete();
  EXPECT_EQ(steps.next().get(), Found(1));
  trainer_faults_->release();
  EXPECT_EQ(error_of(deleted).code(), ErrorCode::io_error);
  EXPECT_EQ(steps.next().get(), Found(0));
  EXPECT_EQ(read_tree(engine_, steps.current().path()).get(), state(0));
  EXPECT_EQ(steps.next().get(), Found()) << "each once";
  save(manager_, 2);
  EXPECT_EQ(steps.next().get(), Found(2));
}

TEST_P(DeletedMeanwhile, AStepIsLeftOutWhereThatSucceeds) {
  StepIterator steps(root(), at_once());
  Future<void> deleted = begin_delete();
  EXPECT_EQ(steps.next().get(), Found(1));
  trainer_faults_->release();
  deleted.get();
  EXPECT_EQ(steps.next().get(), Found());
}

TEST_P(DeletedMeanwhile, AStepIsLookedForSoonThoughNothingTellsThatItStays) {
  WatchOptions options = watcher();
  StepIterator steps(root(), options);
  trainer_faults_->fail(is_deletion, 1, EIO);
  Future<void> deleted = begin_delete();
  EXPECT_EQ(steps.next().get(), Found(1));
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  trainer_faults_->release();
  EXPECT_EQ(error_of(deleted).code(), ErrorCode::io_error);
  pass(options.poll_interval);
  EXPECT_EQ(next.get(), Found(0));
}

// ---- how it ends ----

TEST_P(StepIteratorTest, AWaitMayBeCancelledAndNoStepIsLost) {
  CheckpointManager manager(root(), trainer());
  StepIterator steps(root(), watcher());
  Future<Found> next = steps.next();
  wait_until_it_sleeps();
  EXPECT_EQ(error_of(steps.next()).code(), ErrorCode::invalid_argument) << "one at a time";
  next.cancel();
  EXPECT_EQ(error_of(next).code(), ErrorCode::cancelled);
  EXPECT_EQ(clock_->pending(), 0u);
  save(manager, 0);
  EXPECT_EQ(steps.next().get(), Found(0));
}

TEST_P(StepIteratorTest, WhenItGoesItsWaitEndsAndNothingKeepsTheEngine) {
  CheckpointManager manager(root(), trainer());
  std::optional<StepIterator> steps(std::in_place, root(), watcher());
  Future<Found> next = steps->next();
  wait_until_it_sleeps();
  steps = StepIterator(root(), watcher());
  EXPECT_EQ(error_of(next).code(), ErrorCode::cancelled) << "of the one that was moved over";
  next = steps->next();
  steps.reset();
  EXPECT_EQ(error_of(next).code(), ErrorCode::cancelled);
  engine_.reset();  // would wait for ever
  EXPECT_EQ(clock_->pending(), 0u);
}

}  // namespace
}  // namespace cairn::test
