// Deadlines: what callers are told when the disk does not answer, and what becomes of the rest when
// it does.

#include <gmock/gmock.h>
#include <sys/file.h>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kTotal = 60s;
constexpr auto kNoProgress = 10s;

class Deadline : public test::ManagerTest {
 protected:
  ManagerOptions watched(std::chrono::milliseconds no_progress = 0ms) {
    test::EngineSettings settings;
    settings.faults = faults_;
    settings.clock = clock_;
    ManagerOptions made = options(settings);
    made.async_timeout = kTotal;
    made.no_progress_timeout = no_progress;
    return made;
  }
  // Each operation takes a second of the clock's time.
  ManagerOptions slow() {
    // The clock by itself: files are closed after the fixture's members are gone.
    faults_->fail(
        [clock = clock_](const engine::IoRequest&) {
          clock->advance(1s);
          return false;
        },
        1, EIO);
    ManagerOptions made = watched(kNoProgress);
    made.async_timeout = 24h;
    return made;
  }
  static std::uint64_t quarantined(const CheckpointManager& manager) {
    return manager.engine()->stats().quarantined_tasks;
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::ManualClock> clock_ = std::make_shared<engine::ManualClock>();
};
CAIRN_ON_EVERY_BACKEND(Deadline);

TEST_P(Deadline, ASaveFailsWhenNothingMovesForTooLong) {
  CheckpointManager manager(root(), watched(kNoProgress));
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture save = manager.save(0, state(0));
  faults_->wait_until_held(1);
  save.wait_staged();  // nothing is left that could move
  clock_->advance(kNoProgress - 1s);
  EXPECT_FALSE(save.ready());
  clock_->advance(2s);
  const Error error = error_of(save);
  EXPECT_EQ(error.code(), ErrorCode::timed_out);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("nothing moved for 10000 ms"), HasSubstr("no_progress_timeout")));
  EXPECT_EQ(quarantined(manager), 1u);
  faults_->release();
  EXPECT_TRUE(manager.save(1, state(1)).get()) << "the file system came back";
  EXPECT_EQ(quarantined(manager), 0u);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
}

TEST_P(Deadline, ASaveThatMovesMayTakeLongerThanThat) {
  CheckpointManager manager(root(), slow());
  const auto begin = clock_->steady();
  EXPECT_TRUE(manager.save(0, state(0)).get());
  EXPECT_GT(clock_->steady() - begin, 2 * kNoProgress);
}

TEST_P(Deadline, ASaveBehindOneThatMovesIsNotHung) {
  CheckpointManager manager(root(), slow());
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 4; ++step) saves.push_back(manager.save(step, state(step)));
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
}

TEST_P(Deadline, ADeletionThatHangsFailsAndIsDoneWhenTheKernelAnswers) {
  CheckpointManager manager(root(), watched());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  faults_->hold(FaultPlan::only({IoOp::rename}));
  Future<void> deleted = manager.delete_step(0);
  faults_->wait_until_held(1);
  clock_->advance(kTotal + 1s);
  const Error error = error_of(std::move(deleted));
  EXPECT_EQ(error.code(), ErrorCode::timed_out);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("delete step 0"), HasSubstr("async_timeout")));
  manager.wait_until_finished().get();
  EXPECT_EQ(quarantined(manager), 1u);
  EXPECT_TRUE(manager.all_steps().empty()) << "nobody knows yet whether it is there";
  faults_->release();
  EXPECT_TRUE(manager.save(1, state(1)).get());
  EXPECT_EQ(quarantined(manager), 0u);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
}

TEST_P(Deadline, ADeletionThatNothingMovesForFailsToo) {
  ManagerOptions one_by_one = watched(kNoProgress);
  one_by_one.num_deletion_threads = 1;  // once one hangs, nothing else moves
  CheckpointManager manager(root(), one_by_one);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  faults_->hold(FaultPlan::only({IoOp::remove_directory}));
  Future<void> deleted = manager.delete_step(0);
  faults_->wait_until_held(1);
  clock_->advance(kNoProgress + 1s);
  EXPECT_THAT(error_of(std::move(deleted)).what(), HasSubstr("nothing moved for 10000 ms"));
  faults_->release();
}

TEST_P(Deadline, ADeletionThatHasNotBegunIsGivenUp) {
  CheckpointManager manager(root(), watched());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture save = manager.save(1, state(1));
  faults_->wait_until_held(1);
  Future<void> deleted = manager.delete_step(0);  // waits for the save's turn to end
  std::promise<void> queued;
  boost::asio::post(manager.engine()->executor(), [&] { queued.set_value(); });
  queued.get_future().get();
  clock_->advance(kTotal + 1s);
  EXPECT_EQ(error_of(save).code(), ErrorCode::timed_out);
  EXPECT_EQ(error_of(std::move(deleted)).code(), ErrorCode::timed_out);
  faults_->release();
  EXPECT_TRUE(manager.save(2, state(2)).get());
  EXPECT_EQ(quarantined(manager), 0u);
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0, 2}));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

TEST_P(Deadline, DeletingOldStepsDoesNotHoldUpThoseWhoWaitForEver) {
  ManagerOptions one = watched();
  one.max_to_keep = 1;
  CheckpointManager manager(root(), one);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  faults_->hold(FaultPlan::only({IoOp::remove_directory}));
  EXPECT_TRUE(manager.save(1, state(1)).get());
  faults_->wait_until_held(1);
  Future<void> finished = manager.wait_until_finished();
  clock_->advance(kTotal + 1s);
  finished.get();
  EXPECT_EQ(quarantined(manager), 1u);
  faults_->release();
  EXPECT_TRUE(manager.save(2, state(2)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(quarantined(manager), 0u);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "2"}));
}

TEST_P(Deadline, AnUnlockThatHangsDoesNotHoldUpThoseWhoWaitForEver) {
  CheckpointManager manager(root(), watched());
  faults_->hold([](const engine::IoRequest& request) {
    return request.op == IoOp::lock && request.flags == LOCK_UN;
  });
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->wait_until_held(1);
  Future<void> finished = manager.wait_until_finished();
  clock_->advance(kTotal + 1s);
  finished.get();
  EXPECT_EQ(quarantined(manager), 1u);
  faults_->release();
  EXPECT_TRUE(manager.save(1, state(1)).get());
  EXPECT_EQ(quarantined(manager), 0u);
}

TEST_P(Deadline, ASaveThatHangsWhileItCleansUpSaysWhatItFailedFor) {
  CheckpointManager manager(root(), watched());
  faults_->fail(FaultPlan::only({IoOp::sync_data}), 1, ENOSPC);
  faults_->hold(FaultPlan::only({IoOp::remove_directory}));
  const SaveFuture save = manager.save(0, state(0));
  faults_->wait_until_held(1);
  EXPECT_FALSE(save.ready());
  clock_->advance(kTotal + 1s);
  EXPECT_EQ(error_of(save).code(), ErrorCode::no_space);
  EXPECT_EQ(quarantined(manager), 1u);
  faults_->release();
  EXPECT_TRUE(manager.save(0, state(0)).get());
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
}

}  // namespace
}  // namespace cairn
