// Behaviours: what a failed save leaves, and who is told.

#include <latch>
#include <thread>

#include "behaviours/behaviour.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

// test_async_error_subsequent_save
CAIRN_BEHAVIOUR(B056);
TEST_P(B056, EveryoneWhoWaitsGetsTheErrorAndTheNextSaveWorks) {
  CheckpointManager manager(root(), given());
  faults_->hold(FaultPlan::only({IoOp::sync_data}));
  {
    const SaveFuture dropped = manager.save(0, state(0));
    faults_->wait_until_held(1);
  }
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
  // All wait before it fails.
  constexpr int kThreads = 2;
  std::latch asked(kThreads);
  std::vector<std::thread> waiting;
  for (int i = 0; i < kThreads; ++i) {
    waiting.emplace_back([&] {
      Future<void> finished = manager.wait_until_finished();
      EXPECT_FALSE(finished.ready());
      asked.count_down();
      EXPECT_EQ(error_of(finished).code(), ErrorCode::io_error);
    });
  }
  asked.wait();
  faults_->release();
  for (std::thread& thread : waiting) thread.join();
  manager.wait_until_finished().get();
  manager.check_for_errors();
  EXPECT_TRUE(save(manager, 0));
}

// test_async_error_multiple_steps; old steps stay because the new one failed
CAIRN_BEHAVIOUR(B058);
TEST_P(B058, AFailedSaveDeletesNothing) {
  {
    CheckpointManager manager(root(), given());
    save_all(manager, 1, 2);
  }
  ManagerOptions options = given();
  options.max_to_keep = 1;
  CheckpointManager manager(root(), options);
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
  {
    const SaveFuture dropped = manager.save(3, state(3));
    EXPECT_EQ(manager.all_steps(), Steps{3});
  }
  const Error error = error_of([&] { manager.wait_until_finished().get(); });
  EXPECT_EQ(error.code(), ErrorCode::io_error);
  manager.check_for_errors();
  EXPECT_EQ(manager.all_steps(), (Steps{1, 2}));
  EXPECT_EQ(value_of(manager, 1), 1);
  EXPECT_EQ(value_of(manager, 2), 2);
}

// ---- each error once ----------------------------------------------------------------------------

class ToldOnce : public test::BehaviourTest {
 protected:
  /// One that is under way until go_on().
  SaveFuture begin(CheckpointManager& manager, Step step) {
    faults_->hold(FaultPlan::only({IoOp::sync_data}));
    SaveFuture save = manager.save(step, state(step));
    faults_->wait_until_held(1);
    return save;
  }
  void go_on() { faults_->release(); }
  /// Until it has its result, which nobody has heard.
  static void wait_unheard(const Future<void>& wait) {
    while (!wait.ready()) std::this_thread::yield();
  }
};
CAIRN_ON_EVERY_BACKEND(ToldOnce);

TEST_P(ToldOnce, ByTheWaitThatWasWaitingAlsoWhereItIsAskedLate) {
  CheckpointManager manager(root(), given());
  static_cast<void>(begin(manager, 0));
  Future<void> wait = manager.wait_until_finished();
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
  go_on();
  wait_unheard(wait);
  manager.check_for_errors();
  manager.wait_until_finished().get();
  EXPECT_EQ(error_of(wait).code(), ErrorCode::io_error);
  manager.check_for_errors();
}
TEST_P(ToldOnce, ByTheSaveItselfAndByEveryWaitThatWasWaiting) {
  CheckpointManager manager(root(), given());
  for (const bool save_first : {true, false}) {
    const SaveFuture saved = begin(manager, 0);
    std::vector<Future<void>> waits = {manager.wait_until_finished(),
                                       manager.wait_until_finished()};
    faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
    go_on();
    if (save_first) {
      EXPECT_EQ(error_of(saved).code(), ErrorCode::io_error);
    }
    for (Future<void>& wait : waits) EXPECT_EQ(error_of(wait).code(), ErrorCode::io_error);
    manager.check_for_errors();
    if (!save_first) {
      EXPECT_EQ(error_of(saved).code(), ErrorCode::io_error);
    }
    manager.check_for_errors();
    manager.wait_until_finished().get();
  }
}
TEST_P(ToldOnce, ByTheCheckWhereTheWaitIsDroppedUnheard) {
  CheckpointManager manager(root(), given());
  static_cast<void>(begin(manager, 0));
  {
    const Future<void> wait = manager.wait_until_finished();
    faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
    go_on();
    wait_unheard(wait);
  }
  EXPECT_EQ(error_of([&] { manager.check_for_errors(); }).code(), ErrorCode::io_error);
  manager.check_for_errors();
}
TEST_P(ToldOnce, ByTheFirstOfTheWaitsThatCameLater) {
  CheckpointManager manager(root(), given());
  const SaveFuture saved = begin(manager, 0);
  static_cast<void>(manager.save(-1, state(1)));
  Future<void> first = manager.wait_until_finished();
  Future<void> second = manager.wait_until_finished();
  manager.check_for_errors();
  go_on();
  second.get();
  EXPECT_EQ(error_of(first).code(), ErrorCode::invalid_argument);
  EXPECT_TRUE(saved.get());
}
TEST_P(ToldOnce, ByTheSaveItselfWhereItIsAskedBeforeTheWaitEnds) {
  CheckpointManager manager(root(), given());
  const SaveFuture saved = begin(manager, 0);
  const SaveFuture refused = manager.save(-1, state(1));
  Future<void> later = manager.wait_until_finished();
  EXPECT_EQ(error_of(refused).code(), ErrorCode::invalid_argument);
  go_on();
  later.get();
  EXPECT_TRUE(saved.get());
}

}  // namespace
}  // namespace cairn
