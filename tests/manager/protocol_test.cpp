// The commit, delete and lock protocols where a file system lacks a call or loses an answer, and
// where another writer is at work.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <fstream>
#include <future>
#include <thread>

#include "support/manager_fixture.h"
#include "support/settle.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Protocol : public test::ManagerTest {
 protected:
  ManagerOptions faulty() {
    test::EngineSettings settings;
    settings.faults = faults_;
    return options(settings);
  }
  static SaveFuture overwrite(CheckpointManager& manager, std::int64_t value) {
    SaveOptions options;
    options.overwrite = true;
    return manager.save(0, state(value), options);
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
};
CAIRN_ON_EVERY_BACKEND(Protocol);

// ---- file systems that lack a call --------------------------------------------------------------

TEST_P(Protocol, SavesAndDeletesWhereRenamesCannotRefuseToReplace) {
  CheckpointManager manager(root(), faulty());
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EINVAL, FaultPlan::kForever);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  EXPECT_TRUE(manager.save(1, state(1)).get());
  manager.delete_step(0).get();
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
  EXPECT_EQ(manager.restore(1).get().tree(), state(1));
  EXPECT_GE(faults_->injected(), 3u);
}

TEST_P(Protocol, AnOverwriteIsRefusedWhereNamesCannotBeExchanged) {
  CheckpointManager manager(root(), faulty());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->fail(FaultPlan::only({IoOp::exchange}), 1, EINVAL);
  const Error error = error_of(overwrite(manager, 1));
  EXPECT_EQ(error.code(), ErrorCode::not_supported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("save step 0"), HasSubstr("cannot exchange"),
                                  HasSubstr("Delete what is there first")));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
}

// ---- answers that get lost ----------------------------------------------------------------------

TEST_P(Protocol, ALostAnswerToTheExchangeLeavesTheOutcomeOpen) {
  CheckpointManager manager(root(), faulty());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->fail_after(FaultPlan::only({IoOp::exchange}), 1, EIO);
  EXPECT_EQ(error_of(overwrite(manager, 1)).code(), ErrorCode::commit_unknown);
  EXPECT_EQ(entries().size(), 3u) << "the old content, until the new one is certain";
  manager.reload();
  EXPECT_EQ(manager.restore(0).get().tree(), state(1));
}

TEST_P(Protocol, ALostAnswerToTheRenameLeavesTheOutcomeOpen) {
  CheckpointManager manager(root(), faulty());
  faults_->fail_after(FaultPlan::only({IoOp::rename}), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::commit_unknown);
  manager.reload();
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0}));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

TEST_P(Protocol, ARenameThatDidNotHappenIsAFailureLikeOthers) {
  CheckpointManager manager(root(), faulty());
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::io_error);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock"}));
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->fail(FaultPlan::only({IoOp::exchange}), 1, EIO);
  EXPECT_EQ(error_of(overwrite(manager, 1)).code(), ErrorCode::io_error);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

// ---- the root's lock ----------------------------------------------------------------------------

TEST_P(Protocol, AStepCanBeDeletedWhereTheOwnerRecordHasNoRoom) {
  CheckpointManager manager(root(), faulty());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  EXPECT_TRUE(manager.save(1, state(1)).get());
  manager.wait_until_finished().get();
  faults_->fail(FaultPlan::only({IoOp::write}), 1, ENOSPC, FaultPlan::kForever);
  faults_->hold(FaultPlan::only({IoOp::rename}));
  Future<void> deleted = manager.delete_step(0);
  faults_->wait_until_held(1);
  CheckpointManager other(root(), options());
  const Error refused = error_of(other.save(2, state(2)));
  EXPECT_EQ(refused.code(), ErrorCode::busy) << "the lock is held all the same";
  EXPECT_THAT(refused.reason(), HasSubstr("has not written who it is"));
  faults_->release();
  deleted.get();
  EXPECT_EQ(faults_->injected(), 1u);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
  EXPECT_EQ(manager.restore(1).get().tree(), state(1));
}

bool is_unlock(const engine::IoRequest& request) {
  return request.op == IoOp::lock && request.flags == LOCK_UN;
}

TEST_P(Protocol, AnUnlockThatHangsHoldsUpNothingButTheNextWriter) {
  CheckpointManager manager(root(), faulty());
  faults_->hold(is_unlock);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->wait_until_held(1);
  std::promise<void> passed;
  boost::asio::post(manager.engine()->executor(), [&] { passed.set_value(); });
  passed.get_future().get();
  const pid_t child = ::fork();  // blocks where a guard is held meanwhile
  if (child == 0) ::_exit(0);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  Future<void> finished = manager.wait_until_finished();
  EXPECT_FALSE(finished.ready()) << "others could not write yet";
  const SaveFuture next = manager.save(1, state(1));
  faults_->release();
  finished.get();
  EXPECT_TRUE(next.get());
}

TEST_P(Protocol, AnUnlockThatFailsLeavesTheRootFree) {
  CheckpointManager manager(root(), faulty());
  CheckpointManager other(root(), options());
  faults_->fail(is_unlock, 1, EIO, FaultPlan::kForever);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  EXPECT_TRUE(other.save(1, state(1)).get());
  EXPECT_GE(faults_->injected(), 1u);
}

// ---- the root's metadata ------------------------------------------------------------------------

TEST_P(Protocol, WhatACrashLeftOfTheRootsMetadataGoesWithTheNextWriter) {
  const std::string temporary = "_ROOT_METADATA.orbax-checkpoint-tmp";
  std::filesystem::create_directories(root() + "/" + temporary + "-fedcba9876543210");
  for (const std::string end :
       {"-0123456789abcdef", "-0123456789ABCDEF", "-0123456789abcde", "-mine", ""}) {
    std::ofstream(root() + "/" + temporary + end) << "{";
  }
  CheckpointManager manager(root(), options());
  EXPECT_EQ(entries().size(), 6u) << "who only reads removes nothing";
  EXPECT_TRUE(manager.save(0, state(0)).get());
  const std::vector<std::string> left{".cairn.lock",
                                      "0",
                                      temporary,
                                      temporary + "-0123456789ABCDEF",
                                      temporary + "-0123456789abcde",
                                      temporary + "-fedcba9876543210",
                                      temporary + "-mine"};
  EXPECT_EQ(entries(), left);
}

TEST_P(Protocol, RootMetadataThatACleanUpTakesAwayIsWrittenAgain) {
  ManagerOptions named = faulty();
  named.metadata["run"] = "a";
  faults_->hold(FaultPlan::only({IoOp::rename}));
  std::future<void> opened =
      std::async(std::launch::async, [&] { const CheckpointManager manager(root(), named); });
  faults_->wait_until_held(1);
  CheckpointManager other(root(), options());
  EXPECT_TRUE(other.save(0, state(0)).get());
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"})) << "it was one of these";
  faults_->release();
  opened.get();
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0", "_ROOT_METADATA"}));
}

TEST_P(Protocol, RootMetadataThatCannotBeWrittenLeavesNothing) {
  ManagerOptions named = faulty();
  named.metadata["run"] = "a";
  faults_->fail(FaultPlan::only({IoOp::write}), 1, ENOSPC);
  EXPECT_EQ(error_of([&] { const CheckpointManager manager(root(), named); }).code(),
            ErrorCode::no_space);
  EXPECT_EQ(entries(), std::vector<std::string>());
}

// ---- another writer -----------------------------------------------------------------------------

TEST_P(Protocol, ASaveThatMayWaitForTheLockHoldsNoMemoryMeanwhile) {
  ManagerOptions patient = faulty();
  patient.lock_timeout = std::chrono::seconds(10);
  CheckpointManager manager(root(), patient);
  faults_->hold(FaultPlan::only({IoOp::lock}));
  const SaveFuture save = manager.save(0, state(0));
  const SaveFuture next = manager.save(1, state(1));
  faults_->wait_until_held(1);
  test::settle(*manager.engine(), *faults_);
  EXPECT_EQ(save.progress().staged, 0u);
  EXPECT_EQ(manager.engine()->stats().staging.in_use_bytes, 0u);
  EXPECT_EQ(faults_->held(), 1u) << "one asks for all";
  faults_->release();
  EXPECT_TRUE(save.get());
  EXPECT_TRUE(next.get());
}

TEST_P(Protocol, ASaveThatDoesNotWaitForTheLockCapturesMeanwhile) {
  CheckpointManager manager(root(), faulty());
  faults_->hold(FaultPlan::only({IoOp::lock}));
  const SaveFuture save = manager.save(0, state(0));
  save.wait_staged();
  EXPECT_GT(save.progress().staged, 0u);
  EXPECT_FALSE(save.ready());
  faults_->release();
  EXPECT_TRUE(save.get());
}

TEST_P(Protocol, SavesAndDeletionsWaitForAnotherProcessAsLongAsTheyAreTold) {
  EXPECT_TRUE(CheckpointManager(root(), options()).save(0, state(0)).get());
  const auto clock = std::make_shared<engine::ManualClock>();
  test::EngineSettings settings;
  settings.clock = clock;
  settings.faults = faults_;
  ManagerOptions patient = options(settings);
  patient.lock_timeout = std::chrono::seconds(1);
  patient.async_timeout = std::chrono::hours(1000);
  CheckpointManager manager(root(), patient);
  std::atomic<int> attempts = 0;
  const auto count = [&attempts](const engine::IoRequest& request) {
    attempts += request.op == IoOp::lock ? 1 : 0;
    return false;
  };
  faults_->fail(count, 1, EIO);
  const auto pass_time_until = [&](const auto& over) {
    while (!over()) {
      test::settle(*manager.engine(), *faults_);
      clock->advance(std::chrono::milliseconds(5));
    }
  };
  const int other = ::open((root() + "/.cairn.lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  const auto begin = clock->steady();
  const SaveFuture refused = manager.save(1, state(1));
  Future<void> kept = manager.delete_step(0);
  pass_time_until([&] { return refused.ready() && kept.ready(); });
  EXPECT_GE(clock->steady() - begin, std::chrono::seconds(1));
  EXPECT_EQ(error_of(refused).code(), ErrorCode::busy);
  EXPECT_THROW(refused.wait_staged(), Error) << "nothing was captured";
  EXPECT_THROW(kept.get(), Error);
  EXPECT_GT(attempts, 2);
  attempts = 0;
  const SaveFuture save = manager.save(1, state(1));
  Future<void> removed = manager.delete_step(0);
  while (attempts == 0) std::this_thread::yield();
  ::close(other);
  pass_time_until([&] { return save.ready() && removed.ready(); });
  EXPECT_TRUE(save.get());
  removed.get();
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{1}));
}

TEST_P(Protocol, TheBusyErrorNamesHostAndProcessOrSaysWhyItCannot) {
  CheckpointManager manager(root(), faulty());
  CheckpointManager other(root(), options());
  faults_->hold(FaultPlan::only({IoOp::rename}));
  const SaveFuture save = manager.save(0, state(0));
  faults_->wait_until_held(1);
  const Error named = error_of(other.save(1, state(1)));
  EXPECT_EQ(named.code(), ErrorCode::busy);
  EXPECT_THAT(named.reason(),
              AllOf(HasSubstr("another process, or another manager of this one, is writing "
                              "here: host "),
                    HasSubstr(", pid " + std::to_string(::getpid()))));
  // As it is for a moment after a writer has taken the lock.
  std::ofstream(root() + "/.cairn.lock", std::ios::trunc).close();
  EXPECT_THAT(error_of(other.save(1, state(1))).reason(), HasSubstr("has not written who it is"));
  const std::string too_long(1 << 16, 'x');
  for (const std::string& text : {std::string("{\"host\": 3}"), std::string("\x01\xff{"),
                                  std::string(R"({"host": "a\nb", "pid": 1})"), too_long}) {
    std::ofstream(root() + "/.cairn.lock", std::ios::trunc) << text;
    const Error error = error_of(other.save(1, state(1)));
    EXPECT_EQ(error.code(), ErrorCode::busy);
    EXPECT_THAT(error.reason(), HasSubstr(text == too_long ? "cannot be read" : "damaged"));
  }
  faults_->release();
  EXPECT_TRUE(save.get());
}

}  // namespace
}  // namespace cairn
