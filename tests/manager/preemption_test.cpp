// Saves that are in a hurry: what they pass, what waits for them, and what a deadline ends.

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using namespace std::chrono_literals;
using engine::FaultPlan;
using engine::IoOp;
using engine::IoRequest;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Array filled(std::int64_t value, std::int64_t floats) {
  Array w(DType::float32, {floats});
  for (float& element : w.values<float>()) element = static_cast<float>(value);
  return w;
}

/// Twice what staging of kSmallStaging holds, in buffers of 1 MiB.
constexpr std::size_t kSmallStaging = 4u << 20;
constexpr std::int64_t kLargeArrays = 8;
Tree large(std::int64_t value) {
  Dict tree;
  for (std::int64_t i = 0; i < kLargeArrays; ++i) {
    tree["w" + std::to_string(i)] = Tree(filled(value, 1 << 18));
  }
  return Tree(std::move(tree));
}

bool is_data(const IoRequest& request) {
  return request.op == IoOp::write && request.length >= (1u << 20);
}

/// Knows whether its threads have anything to do.
class WatchedPool final : public engine::CpuPool {
 public:
  WatchedPool() = default;
  WatchedPool(const WatchedPool&) = delete;
  WatchedPool& operator=(const WatchedPool&) = delete;
  ~WatchedPool() override { wait_until_idle(); }
  void enqueue(std::function<void()> task) override {
    ++under_way_;
    inner_->enqueue([this, task = std::move(task)] {
      task();
      --under_way_;
    });
  }
  [[nodiscard]] unsigned concurrency() const noexcept override { return inner_->concurrency(); }
  void wait_until_idle() const {
    while (under_way_ > 0) std::this_thread::yield();
  }

 private:
  const std::shared_ptr<engine::CpuPool> inner_ = engine::make_tbb_pool();
  std::atomic<std::size_t> under_way_{0};
};

class Preemption : public test::ManagerTest {
 protected:
  /// Whose elements tell it apart too.
  static Tree state(std::int64_t value) {
    return Tree(Dict{{"s", Tree(value)}, {"w", Tree(filled(value, 1 << 10))}});
  }
  ManagerOptions watched(std::size_t staging_bytes = 64u << 20) {
    test::EngineSettings settings;
    settings.staging_bytes = staging_bytes;
    settings.faults = faults_;
    settings.clock = clock_;
    settings.cpu_pool = pool_;
    ManagerOptions made = options(settings);
    made.max_pending = 4;
    made.post_finalization_callback = [this](Step step) {
      const std::lock_guard lock(mutex_);
      written_.push_back(step);
    };
    return made;
  }
  /// Steps in the order in which they were written.
  std::vector<Step> written() {
    const std::lock_guard lock(mutex_);
    return written_;
  }
  /// Saves steps 0 to 3, of which the last is the one to save before the end and passes 1 and 2.
  void pass_with_step_3(CheckpointManager& manager) {
    faults_->hold(FaultPlan::only({IoOp::write}));
    std::vector<SaveFuture> saves;
    for (Step step = 0; step < 3; ++step) {
      saves.push_back(manager.save(step, state(step)));
      saves.back().wait_staged();  // captured: it waits for nothing but the writer's turn
    }
    manager.notify_preemption();
    EXPECT_TRUE(manager.reached_preemption(3));
    saves.push_back(manager.save(3, state(3)));
    saves.back().wait_staged();
    faults_->release();
    for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
    EXPECT_THAT(written(), ElementsAre(0, 3, 1, 2));
  }
  static ExitSaveOptions within(std::chrono::milliseconds deadline) {
    ExitSaveOptions options;
    options.deadline = deadline;
    return options;
  }
  static SaveOptions replacing() {
    SaveOptions options;
    options.overwrite = true;
    return options;
  }
  /// Until what has been posted to the engine's strand has run.
  static void settle(const CheckpointManager& manager) {
    std::promise<void> over;
    boost::asio::post(manager.engine()->executor(), [&] { over.set_value(); });
    over.get_future().get();
  }
  /// Until a save that may not capture yet waits for that.
  void wait_until_planned(const CheckpointManager& manager, const SaveFuture& save) const {
    while (save.progress().total == 0) std::this_thread::yield();
    pool_->wait_until_idle();
    settle(manager);
  }
  std::shared_ptr<WatchedPool> pool_ = std::make_shared<WatchedPool>();
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::ManualClock> clock_ = std::make_shared<engine::ManualClock>();

 private:
  std::mutex mutex_;
  std::vector<Step> written_;
};
CAIRN_ON_EVERY_BACKEND(Preemption);

// ---- the head of the queue ----------------------------------------------------------------------

TEST_P(Preemption, TheStepThatWasAgreedOnPassesTheSavesThatWait) {
  CheckpointManager manager(root(), watched());
  pass_with_step_3(manager);
  for (Step step = 0; step < 4; ++step) EXPECT_EQ(manager.restore(step).get().tree(), state(step));
}

TEST_P(Preemption, ASaveThatWentAheadPushesOutThoseItPassedOnceTheyAreThere) {
  ManagerOptions one = watched();
  one.max_to_keep = 1;
  CheckpointManager manager(root(), one);
  pass_with_step_3(manager);
  manager.wait_until_finished().get();
  EXPECT_THAT(manager.all_steps(), ElementsAre(3));
  EXPECT_THAT(manager.all_steps(true), ElementsAre(3));
}

TEST_P(Preemption, WithoutANoticeSavesKeepTheirOrder) {
  CheckpointManager manager(root(), watched());
  faults_->hold(FaultPlan::only({IoOp::write}));
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 4; ++step) saves.push_back(manager.save(step, state(step)));
  saves.back().wait_staged();
  faults_->release();
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  EXPECT_THAT(written(), ElementsAre(0, 1, 2, 3));
}

TEST_P(Preemption, TheLastSavePassesSavesThatHaveNoPlaceYet) {
  ManagerOptions one_place = watched();
  one_place.max_pending = 0;
  CheckpointManager manager(root(), one_place);
  faults_->hold(FaultPlan::only({IoOp::write}));
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 3; ++step) saves.push_back(manager.save(step, state(step)));
  faults_->wait_until_held(1);
  saves.push_back(manager.save_before_exit(3, state(3)));
  saves.back().wait_staged();
  faults_->release();
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  EXPECT_THAT(written(), ElementsAre(0, 3, 1, 2));
}

TEST_P(Preemption, ASaveUnderWayBecomesTheLastOne) {
  CheckpointManager manager(root(), watched());
  faults_->hold(FaultPlan::only({IoOp::write}));
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 4; ++step) saves.push_back(manager.save(step, state(step)));
  saves.back().wait_staged();
  const SaveFuture last = manager.save_before_exit(3, state(33));
  settle(manager);
  faults_->release();
  EXPECT_TRUE(last.get());
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  EXPECT_THAT(written(), ElementsAre(0, 3, 1, 2));
  EXPECT_EQ(manager.restore(3).get().tree(), state(3)) << "what that save was given";
}

// Each waits for memory of the one before: the second must not wait for the third, which has passed
// it, while the third waits for the second.
TEST_P(Preemption, ASaveThatWaitsToCaptureBecomesTheLastOne) {
  CheckpointManager manager(root(), watched(kSmallStaging));
  faults_->hold(is_data);
  std::vector<SaveFuture> saves(1, manager.save(0, large(0)));
  faults_->wait_until_held(1);
  for (Step step = 1; step < 3; ++step) {
    saves.push_back(manager.save(step, state(step)));
    wait_until_planned(manager, saves.back());
  }
  const SaveFuture last = manager.save_before_exit(2, state(2));
  settle(manager);
  faults_->release();
  EXPECT_TRUE(last.get());
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  EXPECT_THAT(written(), ElementsAre(0, 2, 1));
}

TEST_P(Preemption, ASaveThatWaitsForAPlaceBecomesTheLastOne) {
  ManagerOptions options = watched();
  options.max_pending = ManagerOptions().max_pending;
  CheckpointManager manager(root(), options);
  faults_->hold(FaultPlan::only({IoOp::write}));
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 2; ++step) {
    saves.push_back(manager.save(step, state(step)));
    saves.back().wait_staged();
  }
  saves.push_back(manager.save(2, state(2)));
  wait_until_planned(manager, saves.back());
  const SaveFuture last = manager.save_before_exit(2, state(2));
  last.wait_staged();  // while the first save still writes
  settle(manager);
  faults_->release();
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  EXPECT_THAT(written(), ElementsAre(0, 2, 1));
}

TEST_P(Preemption, OfTwoSavesOfItsStepTheNewerOneIsTheLast) {
  CheckpointManager manager(root(), watched());
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture older = manager.save(0, state(1));
  faults_->wait_until_held(1);
  const SaveFuture newer = manager.save(0, state(2), replacing());
  manager.save_before_exit(0, state(3)).cancel();
  settle(manager);
  faults_->release();
  EXPECT_TRUE(older.get());
  EXPECT_EQ(error_of(newer).code(), ErrorCode::cancelled);
}

// Otherwise it would be replaced by what is older.
TEST_P(Preemption, TheLastSaveDoesNotPassOlderOnesOfItsStep) {
  CheckpointManager manager(root(), watched());
  faults_->hold(FaultPlan::only({IoOp::write}));
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 3; ++step) saves.push_back(manager.save(step, state(step)));
  saves.push_back(manager.save(2, state(22), replacing()));
  saves.back().wait_staged();
  const SaveFuture last = manager.save_before_exit(2, state(0));
  settle(manager);
  faults_->release();
  EXPECT_TRUE(last.get());
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  EXPECT_THAT(written(), ElementsAre(0, 2, 2, 1));
  EXPECT_EQ(manager.restore(2).get().tree(), state(22));
}

TEST_P(Preemption, AStepThatIsThereIsNotSavedAgain) {
  CheckpointManager manager(root(), watched());
  EXPECT_TRUE(manager.save(5, state(5)).get());
  const SaveResult result = manager.save_before_exit(5, state(0)).get();
  EXPECT_EQ(result.outcome, SaveOutcome::skipped_older_step);
  EXPECT_EQ(manager.restore(5).get().tree(), state(5));
}

// Captures wait for writes, and writes for the turn. Were the turn given by urgency alone, the last
// save would hold it while it waits for memory of one that waits for the turn.
TEST_P(Preemption, SavesLargerThanStagingDoNotWaitForEachOther) {
  CheckpointManager manager(root(), watched(kSmallStaging));
  faults_->hold(is_data);
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 2; ++step) saves.push_back(manager.save(step, large(step)));
  faults_->wait_until_held(2);
  for (Step step = 2; step < 4; ++step) saves.push_back(manager.save(step, large(step)));
  saves.push_back(manager.save_before_exit(4, large(4)));
  faults_->release();
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  EXPECT_EQ(manager.restore(4).get().tree(), large(4));
}

TEST_P(Preemption, ASaveIsNotPassedWhileItCaptures) {
  CheckpointManager manager(root(), watched(kSmallStaging));
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first = manager.save(0, state(0));   // staged, and writes
  const SaveFuture second = manager.save(1, large(1));  // captures, and waits for the turn
  first.wait_staged();
  faults_->wait_until_held(1);
  while (second.progress().staged == 0) std::this_thread::yield();
  const SaveFuture last = manager.save_before_exit(2, large(2));
  settle(manager);
  faults_->release();
  EXPECT_TRUE(last.get());
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
  EXPECT_THAT(written(), ElementsAre(0, 1, 2));
}

// ---- removals wait ------------------------------------------------------------------------------

TEST_P(Preemption, RemovingOldStepsWaitsUntilTheSaveHasCommitted) {
  for (const bool background : {false, true}) {
    ManagerOptions options = watched();
    options.max_to_keep = 1;
    options.enable_background_delete = background;
    options.num_deletion_threads = 1;
    std::promise<void> reached;
    std::promise<void> go_on;
    options.post_finalization_callback = [&](Step step) {
      if (step != 2) return;
      reached.set_value();
      go_on.get_future().wait();
    };
    const std::string place = root() + std::to_string(static_cast<int>(background));
    CheckpointManager manager(place, options);
    EXPECT_TRUE(manager.save(0, state(0)).get());
    faults_->hold(FaultPlan::only({IoOp::remove_directory}));
    EXPECT_TRUE(manager.save(1, state(1)).get());
    faults_->wait_until_held(1);  // in the midst of step 0
    manager.notify_preemption();
    ASSERT_TRUE(manager.reached_preemption(2));
    const SaveFuture last = manager.save(2, state(2));
    reached.get_future().wait();  // it has the turn
    auto removed = std::make_shared<std::atomic<int>>(0);
    auto removed_before_commit = std::make_shared<std::atomic<int>>(-1);
    const std::string committed = place + "/2";
    faults_->clear();
    faults_->fail(
        [=](const IoRequest& request) {
          if (request.op == IoOp::remove_directory) {
            const int others = (*removed)++;
            if (*removed_before_commit < 0 && !std::filesystem::exists(committed)) {
              *removed_before_commit = others;
            }
          }
          return false;
        },
        1, EIO);
    faults_->release();
    settle(manager);
    go_on.set_value();
    EXPECT_TRUE(last.get());
    manager.wait_until_finished().get();
    manager.close().get();
    EXPECT_EQ(*removed_before_commit, -1) << "a directory was removed while the save was pending";
    EXPECT_GT(*removed, 0);
    EXPECT_FALSE(std::filesystem::exists(place + "/0"));
    EXPECT_FALSE(std::filesystem::exists(place + "/1")) << "pushed out by step 2";
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
      EXPECT_THAT(entry.path().filename().string(), ::testing::AnyOf("2", ".cairn.lock"));
    }
  }
}

TEST_P(Preemption, TheLastSaveLeavesWhatIsToBeRemovedToTheNextWriter) {
  {
    ManagerOptions options = watched();
    options.max_to_keep = 1;
    options.num_deletion_threads = 1;
    CheckpointManager manager(root(), options);
    EXPECT_TRUE(manager.save(0, state(0)).get());
    faults_->hold(FaultPlan::only({IoOp::remove_directory}));
    EXPECT_TRUE(manager.save(1, state(1)).get());
    faults_->wait_until_held(1);
    EXPECT_TRUE(manager.save_before_exit(2, state(2)).get()) << "the turn was not taken over";
    faults_->release();
    manager.close().get();
    EXPECT_THAT(entries(), Contains(StartsWith("0.orbax-checkpoint-tmp-deleted-")));
    EXPECT_THAT(entries(), Contains("1"));
  }
  ManagerOptions options = watched();
  options.max_to_keep = 1;
  CheckpointManager next(root(), options);
  EXPECT_EQ(next.latest_step(), 2);
  EXPECT_TRUE(next.save(3, state(3)).get());
  next.close().get();
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "3"));
}

TEST_P(Preemption, ADeletionByTheUserGivesItsTurnUpToo) {
  ManagerOptions options = watched();
  options.num_deletion_threads = 1;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->hold(FaultPlan::only({IoOp::remove_directory}));
  Future<void> deleted = manager.delete_step(0);
  faults_->wait_until_held(1);
  EXPECT_TRUE(manager.save_before_exit(1, state(1)).get());
  EXPECT_EQ(error_of(manager.delete_step(1)).code(), ErrorCode::cancelled);
  EXPECT_EQ(manager.all_steps(), std::vector<Step>{1});
  faults_->release();
  deleted.get();  // it has lost its name
  EXPECT_EQ(manager.restore(1).get().tree(), state(1));
}

// ---- the deadline -------------------------------------------------------------------------------

TEST_P(Preemption, AtTheDeadlineEverythingIsGivenUp) {
  CheckpointManager manager(root(), watched());
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture before = manager.save(0, state(0));
  faults_->wait_until_held(1);
  const SaveFuture last = manager.save_before_exit(1, state(1), within(5s));
  settle(manager);
  clock_->advance(5s - 1ms);
  settle(manager);
  EXPECT_FALSE(last.ready());
  clock_->advance(1ms);
  for (const SaveFuture& save : {last, before}) {
    const Error error = error_of(save);
    EXPECT_EQ(error.code(), ErrorCode::timed_out);
    EXPECT_THAT(error.what(), HasSubstr("not finished 5000 ms after save_before_exit()"));
    EXPECT_THAT(error.what(), HasSubstr("ExitSaveOptions::deadline"));
  }
  manager.close().get();  // although the disk does not answer
  EXPECT_GE(manager.engine()->stats().quarantined_tasks, 1u) << "the one that has been writing";
  faults_->release();
}

TEST_P(Preemption, AFinishedLastSaveIsNotTouchedByTheDeadline) {
  CheckpointManager manager(root(), watched());
  const SaveFuture last = manager.save_before_exit(0, state(0), within(5s));
  EXPECT_TRUE(last.get());
  clock_->advance(1h);
  manager.close().get();
  EXPECT_THAT(entries(), ElementsAre(".cairn.lock", "0"));
}

TEST_P(Preemption, ADeadlineIsPositive) {
  CheckpointManager manager(root(), watched());
  const Error error = error_of(manager.save_before_exit(0, state(0), within(0s)));
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("ExitSaveOptions::deadline"));
  EXPECT_TRUE(manager.save(0, state(0)).get()) << "nothing has ended";
}

}  // namespace
}  // namespace cairn
