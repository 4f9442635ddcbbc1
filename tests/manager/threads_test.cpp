// A manager used by many threads at once, on the only thread of somebody's io_context, and ended
// while saves are under way.

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <latch>
#include <optional>
#include <thread>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

class Threads : public test::ManagerTest {
 protected:
  test::EngineSettings faulty() {
    test::EngineSettings settings;
    settings.faults = faults_;
    return settings;
  }
  static Tree small(std::int64_t value) { return test::state_of(value, 64); }
  /// One held write, and saves behind it.
  std::vector<SaveFuture> begin_saves(CheckpointManager& manager, Step count) {
    faults_->hold(FaultPlan::only({IoOp::write}));
    std::vector<SaveFuture> saves;
    for (Step step = 0; step < count; ++step) saves.push_back(manager.save(step, small(step)));
    faults_->wait_until_held(1);
    return saves;
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
};
CAIRN_ON_EVERY_BACKEND(Threads);

/// Eight threads that do a given amount of work each, beginning together.
class Crowd {
 public:
  static constexpr int kSavers = 3;
  static constexpr int kGetters = 5;
  static constexpr Step kStepsOfSaver = 6;
  static constexpr int kRoundsOfGetter = 40;
  static constexpr int kRoundsPerListing = 10;  ///< listing blocks for the disk

  explicit Crowd(CheckpointManager& manager) : manager_(manager) {}
  void run() {
    std::vector<std::thread> threads;
    for (Step saver = 0; saver < kSavers; ++saver)
      threads.emplace_back([this, saver] { save(saver); });
    for (int getter = 0; getter < kGetters; ++getter) threads.emplace_back([this] { look(); });
    for (std::thread& thread : threads) thread.join();
  }

 private:
  void save(Step saver) {
    start_.arrive_and_wait();
    SaveOptions save;
    save.force = true;  // the others' steps come in between
    for (Step i = 0; i < kStepsOfSaver; ++i) {
      const Step step = i * kSavers + saver;
      EXPECT_TRUE(manager_.save(step, test::state_of(step, 64), save).get());
      EXPECT_THAT(manager_.all_steps(), ::testing::Contains(step)) << "its save has committed";
      EXPECT_GE(manager_.latest_committed_step(), step);
    }
    EXPECT_EQ(manager_.restore(saver).get().tree(), test::state_of(saver, 64));
  }
  void look() {
    start_.arrive_and_wait();
    std::size_t seen = 0;
    for (int round = 0; round < kRoundsOfGetter; ++round) {
      const std::vector<Step> steps = manager_.all_steps(round % kRoundsPerListing == 0);
      EXPECT_TRUE(std::ranges::is_sorted(steps));
      EXPECT_GE(steps.size(), seen) << "nothing is deleted";
      seen = steps.size();
      if (!steps.empty()) {
        EXPECT_GE(manager_.latest_step(), steps.back());
      }
      const std::optional<Step> committed = manager_.latest_committed_step();
      EXPECT_GE(manager_.latest_step(), committed);
      static_cast<void>(manager_.best_step());
      static_cast<void>(manager_.should_save(round));
      static_cast<void>(manager_.is_saving_in_progress());
      manager_.check_for_errors();
    }
  }

  CheckpointManager& manager_;
  std::latch start_{kSavers + kGetters};
};

TEST_P(Threads, GettersAndSaversMayRunOnEight) {
  CheckpointManager manager(root(), options());
  Crowd(manager).run();
  EXPECT_EQ(manager.all_steps(true).size(), std::size_t{Crowd::kSavers * Crowd::kStepsOfSaver});
}

TEST_P(Threads, BlockingWaitsEndOnTheOnlyThreadOfACallersContext) {
  CheckpointManager manager(root(), options());
  boost::asio::io_context context;
  bool awaited = false;
  bool closed = false;
  boost::asio::post(context, [&] {
    const SaveFuture save = manager.save(0, small(0));
    // Its handler cannot run before this function has returned.
    save.committed(boost::asio::bind_executor(
        context.get_executor(), [&awaited](std::exception_ptr error, const SaveResult& result) {
          awaited = !error && result.outcome == SaveOutcome::saved;
        }));
    save.wait_staged();
    EXPECT_TRUE(save.get());
    EXPECT_EQ(manager.restore().get().tree(), small(0));
    EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{0}));
    manager.wait_until_finished().get();
    manager.delete_step(0).get();
    static_cast<void>(manager.save(1, small(1)));
    manager.close().get();
    closed = true;
    EXPECT_FALSE(awaited);
  });
  context.run();
  EXPECT_TRUE(closed);
  EXPECT_TRUE(awaited);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
}

TEST_P(Threads, AManagerDestroyedOnTheOnlyThreadOfACallersContextFinishesItsSaves) {
  auto manager = std::make_optional<CheckpointManager>(root(), options());
  boost::asio::io_context context;
  int done = 0;
  boost::asio::post(context, [&] {
    for (Step step = 0; step < 3; ++step) {
      manager->save(step, small(step))
          .committed(boost::asio::bind_executor(
              context.get_executor(),
              [&done](const std::exception_ptr& error, const SaveResult&) { done += !error; }));
    }
    manager.reset();
    EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0", "1", "2"}));
  });
  context.run();
  EXPECT_EQ(done, 3);
}

TEST_P(Threads, AManagerDestroyedWithSavesUnderWayWaitsForThem) {
  ManagerOptions o = options(faulty());
  auto manager = std::make_optional<CheckpointManager>(root(), o);
  const std::vector<SaveFuture> saves = begin_saves(*manager, 3);
  saves[1].cancel();
  std::atomic<bool> destroyed{false};
  std::thread owner([&] {
    manager.reset();
    destroyed = true;
  });
  EXPECT_FALSE(destroyed);
  faults_->release();
  owner.join();
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.ready());
  EXPECT_TRUE(saves[0].get());
  EXPECT_EQ(error_of(saves[1]).code(), ErrorCode::cancelled);
  EXPECT_TRUE(saves[2].get());
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0", "2"}));
}

TEST_P(Threads, AManagerDestroyedOnTheEnginesThreadLeavesItsSavesUnderWay) {
  ManagerOptions o = options(faulty());
  auto manager = std::make_optional<CheckpointManager>(root(), o);
  const std::vector<SaveFuture> saves = begin_saves(*manager, 2);
  std::latch destroyed(1);
  boost::asio::post(o.engine->executor(), [&] {
    manager.reset();  // waiting here would never end
    destroyed.count_down();
  });
  destroyed.wait();
  EXPECT_FALSE(saves[0].ready());
  faults_->release();
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
}

TEST_P(Threads, WaitsOfADestroyedManagerCompleteOnTheirOwnThreads) {
  boost::asio::thread_pool pool(4);
  std::atomic<int> done{0};
  {
    ManagerOptions o = options();
    o.max_pending = 4;
    CheckpointManager manager(root(), o);
    for (Step step = 0; step < 8; ++step) {
      const SaveFuture save = manager.save(step, small(step));
      save.committed(boost::asio::bind_executor(
          pool.get_executor(),
          [&done](const std::exception_ptr& error, const SaveResult&) { done += error ? 0 : 1; }));
    }
  }
  pool.join();
  EXPECT_EQ(done, 8);
}

}  // namespace
}  // namespace cairn
