// Deletions that wait, and saves of the same step that come before them.

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <stdexcept>

#include "support/manager_fixture.h"
#include "support/policy_samples.h"
#include "support/settle.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kAside = "deleted";

/// Steps 5 and 6; in `queue()` a save of 7 has the writer's turn, and hangs.
class QueuedDeletion : public test::ManagerTest {
 protected:
  ManagerOptions watched() {
    test::EngineSettings settings;
    settings.faults = faults_;
    ManagerOptions made = options(settings);
    made.max_pending = 4;
    made.todelete_subdir = kAside;  // shows what has been deleted
    return made;
  }
  void fill(CheckpointManager& manager) {
    EXPECT_TRUE(manager.save(5, state(5)).get());
    EXPECT_TRUE(manager.save(6, state(6)).get());
  }
  /// The deletion of step 5, queued.
  [[nodiscard]] Future<void> queue(CheckpointManager& manager) {
    faults_->hold(FaultPlan::only({IoOp::write}));
    before_ = manager.save(7, state(7));
    faults_->wait_until_held(1);
    Future<void> deleted = manager.delete_step(5);
    test::settle(*manager.engine(), *faults_);
    EXPECT_FALSE(deleted.ready());
    return deleted;
  }
  void go_on() {
    faults_->release();
    EXPECT_TRUE(before_->get());
  }
  static SaveFuture replace(CheckpointManager& manager, Step step, std::int64_t value) {
    SaveOptions again;
    again.overwrite = true;
    again.force = true;
    return manager.save(step, state(value), again);
  }
  /// By a save that passes all that does not write yet.
  static SaveFuture replace_in_a_hurry(CheckpointManager& manager, Step step, std::int64_t value) {
    manager.notify_preemption();
    EXPECT_TRUE(manager.reached_preemption(step));
    return replace(manager, step, value);
  }
  [[nodiscard]] bool was_deleted(Step step) const {
    return std::filesystem::exists(root() + "/" + kAside + "/" + std::to_string(step));
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();

 private:
  std::optional<SaveFuture> before_;
};
CAIRN_ON_EVERY_BACKEND(QueuedDeletion);

TEST_P(QueuedDeletion, LeavesTheStepThatHasReplacedItsOwn) {
  CheckpointManager manager(root(), watched());
  fill(manager);
  Future<void> deleted = queue(manager);
  const SaveFuture replaced = replace_in_a_hurry(manager, 5, 55);
  replaced.wait_staged();
  go_on();
  EXPECT_TRUE(replaced.get());
  deleted.get();  // what it was to delete is gone
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{5, 6, 7}));
  EXPECT_EQ(manager.restore(5).get().tree(), state(55));
  EXPECT_FALSE(was_deleted(5));
  manager.delete_step(5).get();
  EXPECT_TRUE(was_deleted(5)) << "a call that came after the save";
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{6, 7}));
}

TEST_P(QueuedDeletion, TakesItsStepBeforeASaveThatIsQueuedBehindIt) {
  CheckpointManager manager(root(), watched());
  fill(manager);
  Future<void> deleted = queue(manager);
  const SaveFuture saved = replace(manager, 5, 55);
  saved.wait_staged();
  go_on();
  deleted.get();
  EXPECT_TRUE(saved.get());
  EXPECT_TRUE(was_deleted(5)) << "it was replaced instead";
  EXPECT_EQ(manager.restore(5).get().tree(), state(55));
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{5, 6, 7}));
}

TEST_P(QueuedDeletion, IsNotChangedByASaveThatFails) {
  CheckpointManager manager(root(), watched());
  fill(manager);
  Future<void> deleted = queue(manager);
  const SaveFuture failing = replace_in_a_hurry(manager, 5, 55);
  failing.wait_staged();
  EXPECT_THAT(manager.all_steps(), Contains(5)) << "it is being saved";
  failing.cancel();
  EXPECT_EQ(error_of(failing).code(), ErrorCode::cancelled);
  EXPECT_THAT(manager.all_steps(), Not(Contains(5))) << "still chosen for deletion";
  EXPECT_EQ(error_of(manager.delete_step(5)).code(), ErrorCode::not_found) << "likewise";
  go_on();
  deleted.get();
  EXPECT_TRUE(was_deleted(5));
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{6, 7}));
}

// ---- deletions by retention ---------------------------------------------------------------------

/// What has the least loss stays.
class QueuedRetention : public QueuedDeletion {
 protected:
  ManagerOptions best() {
    ManagerOptions made = watched();
    made.best_fn = test::loss_of;
    made.best_mode = BestMode::min;
    made.max_to_keep = 1;
    return made;
  }
  static SaveFuture save(CheckpointManager& manager, Step step, std::int64_t value, double loss) {
    SaveOptions options;
    options.overwrite = true;
    options.force = true;
    options.metrics = test::metric("loss", loss);
    return manager.save(step, state(value), options);
  }
};
CAIRN_ON_EVERY_BACKEND(QueuedRetention);

TEST_P(QueuedRetention, AStepThatWasPushedOutAndReplacedStays) {
  CheckpointManager manager(root(), best());
  EXPECT_TRUE(save(manager, 5, 5, 5).get());
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture pushes = save(manager, 6, 6, 4);
  faults_->wait_until_held(1);
  const SaveFuture behind = save(manager, 7, 7, 3);
  behind.wait_staged();
  EXPECT_THAT(manager.all_steps(), ElementsAre(7));
  manager.notify_preemption();
  EXPECT_TRUE(manager.reached_preemption(5));
  const SaveFuture replaced = save(manager, 5, 55, 1);
  replaced.wait_staged();
  faults_->release();
  for (const SaveFuture& one : {pushes, replaced, behind}) EXPECT_TRUE(one.get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.restore(5).get().tree(), state(55));
  EXPECT_EQ(manager.best_step(), 5);
}

TEST_P(QueuedRetention, OfTwoSavesOfAStepThatPushesItselfOutNothingStays) {
  ManagerOptions options = watched();
  options.max_to_keep = 0;
  CheckpointManager manager(root(), options);
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first = manager.save(0, state(1));
  faults_->wait_until_held(1);
  const SaveFuture second = manager.save(0, state(2));  // not listed: no overwrite
  faults_->release();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
  manager.wait_until_finished().get();
  EXPECT_TRUE(was_deleted(0));
  EXPECT_TRUE(manager.all_steps(true).empty());
}

// A reader holds step 0 when it is pushed out, so its deletion is to be tried again: not with what
// has replaced it, which a save that fails pushes out meanwhile.
TEST_P(QueuedRetention, ADeletionThatIsToBeTriedAgainDoesNotTakeTheStepThatHasReplacedItsOwn) {
  ManagerOptions options = best();
  std::promise<void> reached;
  std::promise<void> go_on;
  std::atomic<bool> stop{false};
  options.post_finalization_callback = [&](Step step) {
    if (step == 2) throw std::runtime_error("it fails after step 0 has committed");
    if (step != 0 || !stop) return;
    reached.set_value();
    go_on.get_future().wait();
  };
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0, 0, 5).get());
  {
    const HeldStep held = manager.wait_for_new_step(std::chrono::milliseconds(0), -1).get();
    ASSERT_TRUE(held.locked());
    EXPECT_TRUE(save(manager, 1, 1, 4).get());
    manager.wait_until_finished().get();
    EXPECT_EQ(manager.all_steps(), std::vector<Step>{1});
    EXPECT_THAT(entries(), Contains("0"));
  }
  stop = true;
  const SaveFuture replaced = save(manager, 0, 10, 1);
  reached.get_future().wait();
  const SaveFuture pushes = save(manager, 2, 2, 0.5);
  EXPECT_EQ(manager.all_steps(), std::vector<Step>{2}) << "it pushes out what is being saved";
  go_on.set_value();
  EXPECT_TRUE(replaced.get());
  EXPECT_THAT(error_of(pushes).what(), HasSubstr("it fails after"));
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.restore(0).get().tree(), state(10));
  EXPECT_EQ(manager.all_steps(true), std::vector<Step>{0});
}

}  // namespace
}  // namespace cairn
