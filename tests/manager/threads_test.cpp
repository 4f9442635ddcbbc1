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

/// Eight threads of which each does its own, in the way of the others.
class MixedCrowd {
 public:
  static constexpr int kThreads = 8;
  static constexpr Step kStepsOfSaver = 8;
  static constexpr int kRounds = 12;

  explicit MixedCrowd(CheckpointManager& manager) : manager_(manager) {}
  void run() {
    std::vector<std::thread> threads;
    const auto add = [&](auto work) {
      threads.emplace_back([this, work] {
        start_.arrive_and_wait();
        work();
      });
    };
    for (const Step saver : {0, 1}) add([this, saver] { save(saver); });
    for (int reader = 0; reader < 2; ++reader) add([this] { read(); });
    add([this] { remove(); });
    add([this] { in_rounds([this] { manager_.reload(); }); });
    add([this] { in_rounds([this] { manager_.wait_until_finished().get(); }); });
    add([this] { look(); });
    for (std::thread& thread : threads) thread.join();
  }
  static boost::json::object metrics_of(Step step) { return {{"score", (step * 7) % 16}}; }
  static SaveOptions options_of(Step step, bool force) {
    SaveOptions options;
    options.metrics = metrics_of(step);
    options.force = force;
    return options;
  }

 private:
  template <class Work>
  static void in_rounds(Work work) {
    for (int round = 0; round < kRounds; ++round) EXPECT_NO_THROW(work());
  }
  /// What may happen to a step while somebody asks for it.
  template <class Call>
  static void may_lose(const std::vector<ErrorCode>& races, Call call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_THAT(races, ::testing::Contains(error.code())) << error.what();
    }
  }
  /// The one leaves it to the policy, and the other one's steps come in between.
  void save(Step saver) {
    for (Step i = 0; i < kStepsOfSaver; ++i) {
      const Step step = 2 * i + saver;
      const SaveFuture save =
          manager_.save(step, test::state_of(step, 64), options_of(step, saver == 0));
      EXPECT_NO_THROW(static_cast<void>(save.get()));
    }
  }
  void read() {
    // Listed from the call of its save on, and until a deletion has been decided on.
    const std::vector<ErrorCode> races = {ErrorCode::not_found, ErrorCode::incomplete_checkpoint,
                                          ErrorCode::step_deleted};
    for (int round = 0; round < kRounds; ++round) {
      for (const Step step : manager_.all_steps()) {
        may_lose(races, [&] { EXPECT_EQ(manager_.metrics(step).get(), metrics_of(step)); });
        may_lose(races, [&] {
          const StepMetadata metadata = manager_.metadata(step).get();
          EXPECT_EQ(metadata.metrics, metrics_of(step));
        });
        may_lose(races,
                 [&] { EXPECT_EQ(manager_.restore(step).get().tree(), test::state_of(step, 64)); });
      }
    }
  }
  void remove() {
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<Step> steps = manager_.all_steps();
      if (steps.empty()) continue;
      // Another save's loser, under way, or in a reader's hands.
      may_lose({ErrorCode::not_found, ErrorCode::busy},
               [&] { manager_.delete_step(steps.front()).get(); });
    }
  }
  void look() {
    in_rounds([this] {
      static_cast<void>(manager_.best_step());
      static_cast<void>(manager_.should_save(2 * kStepsOfSaver));
      EXPECT_TRUE(std::ranges::is_sorted(manager_.all_steps(true)));
      manager_.check_for_errors();
    });
  }

  CheckpointManager& manager_;
  std::latch start_{kThreads};
};

TEST_P(Threads, RulesDeletionsAndReloadsMayRunOnEight) {
  constexpr Step kLast = 2 * MixedCrowd::kStepsOfSaver;
  std::atomic<int> asked{0};
  ManagerOptions o = options();
  o.max_to_keep = 3;
  o.best_fn = [](const boost::json::object& metrics) {
    return static_cast<double>(metrics.at("score").as_int64());
  };
  o.save_decision_policy = [&asked](Step step, std::span<const CheckpointInfo> previous,
                                    const SaveContext&) {
    ++asked;
    return step % 4 != 1 && std::ranges::is_sorted(previous, {}, &CheckpointInfo::step);
  };
  o.on_older_step = OlderStep::skip;  // readers restore all there are
  CheckpointManager manager(root(), o);
  MixedCrowd(manager).run();
  EXPECT_TRUE(
      manager.save(kLast, test::state_of(kLast, 64), MixedCrowd::options_of(kLast, true)).get());
  manager.wait_until_finished().get();
  manager.check_for_errors();
  EXPECT_GT(asked, 0);
  const std::vector<Step> steps = manager.all_steps(true);
  const std::optional<Step> best = manager.best_step();
  ASSERT_TRUE(best);
  EXPECT_THAT(steps, ::testing::Contains(*best));
  for (const Step step : steps) {
    EXPECT_EQ(manager.restore(step).get().tree(), test::state_of(step, 64));
    EXPECT_EQ(manager.metrics(step).get(), MixedCrowd::metrics_of(step));
  }
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
