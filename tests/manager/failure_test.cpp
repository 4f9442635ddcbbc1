// Failing disks, cancelled saves, deadlines: what a save's end means for the caches, the disk and
// the errors.

#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using ::testing::HasSubstr;

class Failure : public test::ManagerTest {
 protected:
  /// Large enough for a chunk of its own.
  static Tree state(std::int64_t value) { return test::state_of(value, 1 << 18); }
  test::EngineSettings faulty() {
    test::EngineSettings settings;
    settings.faults = faults;
    settings.clock = clock;
    return settings;
  }
  std::shared_ptr<FaultPlan> faults = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::ManualClock> clock = std::make_shared<engine::ManualClock>();
};
CAIRN_ON_EVERY_BACKEND(Failure);

TEST_P(Failure, AFullDiskFailsTheSaveAndKeepsTheEarlierSteps) {
  ManagerOptions o = options(faulty());
  o.max_to_keep = 1;
  CheckpointManager manager(root(), o);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults->fail(FaultPlan::only({IoOp::allocate}), 1, ENOSPC);
  const SaveFuture save = manager.save(1, state(1));
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{1}))
      << "the new step counts at once, the old one is to go";
  EXPECT_EQ(error_of(save).code(), ErrorCode::no_space);
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0}));
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
  EXPECT_TRUE(manager.save(1, state(1)).get());
}

TEST_P(Failure, AnErrorNamesOperationAndFile) {
  CheckpointManager manager(root(), options(faulty()));
  // Not the small write of the lock file, but one of array data.
  auto large = [](const engine::IoRequest& request) {
    return request.op == IoOp::write && request.length > 100'000;
  };
  faults->fail(large, 1, EIO);
  try {
    static_cast<void>(manager.save(3, state(0)).get());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io_error);
    EXPECT_THAT(error.what(), HasSubstr("save step 3"));
    EXPECT_THAT(error.what(), HasSubstr("3.orbax-checkpoint-tmp"));
  }
}

TEST_P(Failure, AFailedSyncOfTheRootLeavesTheOutcomeOpenAndDeletesNothing) {
  ManagerOptions o = options(faulty());
  o.max_to_keep = 1;
  CheckpointManager manager(root(), o);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  const std::string path = root();
  bool renamed = false;
  faults->fail(
      [&renamed](const engine::IoRequest& request) {
        if (request.op == IoOp::rename) renamed = true;
        return renamed && request.op == IoOp::sync_all;
      },
      1, EIO);
  EXPECT_EQ(error_of(manager.save(1, state(1))).code(), ErrorCode::commit_unknown);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0", "1"}));
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{0, 1}));
}

TEST_P(Failure, ACancelledSaveLeavesNothingBehind) {
  CheckpointManager manager(root(), options(faulty()));
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture save = manager.save(0, state(0));
  faults->wait_until_held(1);
  save.cancel();
  faults->release();
  EXPECT_EQ(error_of(save).code(), ErrorCode::cancelled);
  EXPECT_TRUE(manager.all_steps().empty());
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock"}));
  EXPECT_TRUE(manager.save(0, state(0)).get());
}

TEST_P(Failure, ASaveThatWaitsForItsTurnCanBeCancelled) {
  CheckpointManager manager(root(), options(faulty()));
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first = manager.save(0, state(0));
  faults->wait_until_held(1);
  const SaveFuture second = manager.save(1, state(1));
  second.cancel();
  EXPECT_EQ(error_of(second).code(), ErrorCode::cancelled);
  faults->release();
  EXPECT_TRUE(first.get());
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{0}));
}

TEST_P(Failure, ASaveThatWaitsForAPlaceAndForMemoryCanBeCancelled) {
  test::EngineSettings settings = faulty();
  settings.staging_bytes = 4u << 20;
  ManagerOptions o = options(settings);
  o.max_pending = 0;
  CheckpointManager manager(root(), o);
  Dict arrays;  // more than staging holds: the first save is not staged while the disk hangs
  for (const std::string name : {"a", "b", "c", "d", "e"})
    arrays[name] = Tree(Array(DType::float32, {1 << 18}));
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first = manager.save(0, Tree(arrays));
  faults->wait_until_held(1);
  // One cancellation ends the wait for a place; the wait for the first save's arrays is behind it.
  const SaveFuture second = manager.save(1, Tree(arrays));
  while (second.progress().total == 0) std::this_thread::yield();  // planned
  second.cancel();
  EXPECT_EQ(error_of(second).code(), ErrorCode::cancelled);
  EXPECT_FALSE(first.ready());
  faults->release();
  EXPECT_TRUE(first.get());
}

TEST_P(Failure, ASaveThatIsBeingPlannedCanBeCancelled) {
  const auto pool = std::make_shared<engine::ManualPool>(1);
  test::EngineSettings settings = faulty();
  settings.cpu_pool = pool;
  ManagerOptions o = options(settings);
  o.max_pending = 0;
  CheckpointManager manager(root(), o);
  faults->hold(FaultPlan::only({IoOp::sync_data}));
  const SaveFuture first = manager.save(0, state(0));
  while (first.progress().staged < (1u << 20)) pool->run_one();
  const SaveFuture second = manager.save(1, state(1));
  second.cancel();
  std::promise<void> noticed;
  boost::asio::post(manager.engine()->executor(), [&] { noticed.set_value(); });
  noticed.get_future().get();  // the pool has the plan, and the save its cancellation
  while (!second.ready()) pool->run_one();
  EXPECT_EQ(error_of(second).code(), ErrorCode::cancelled);
  EXPECT_FALSE(first.ready());
  faults->release();
  while (!first.ready()) pool->run_one();
  EXPECT_TRUE(first.get());
  Future<void> finished = manager.wait_until_finished();
  while (!finished.ready()) pool->run_one();
}

TEST_P(Failure, CancellingAWaitLeavesTheSaveAlone) {
  CheckpointManager manager(root(), options(faulty()));
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture save = manager.save(0, state(0));
  faults->wait_until_held(1);
  boost::asio::io_context context;
  boost::asio::cancellation_signal signal;
  std::exception_ptr ended;
  bool called = false;
  auto handler = [&](std::exception_ptr error, SaveResult) {
    ended = error;
    called = true;
  };
  auto bound = boost::asio::bind_executor(
      context.get_executor(), boost::asio::bind_cancellation_slot(signal.slot(), handler));
  save.committed(std::move(bound));
  signal.emit(boost::asio::cancellation_type::terminal);
  context.run();
  EXPECT_TRUE(called);
  EXPECT_TRUE(ended != nullptr);
  faults->release();
  EXPECT_TRUE(save.get());
}

TEST_P(Failure, ARestoreDoesNotWaitBehindAStalledSaveNorASaveBehindAStalledRestore) {
  test::EngineSettings settings = faulty();
  settings.staging_bytes = 2u << 20;
  settings.io_window_bytes = 2u << 20;
  CheckpointManager manager(root(), options(settings));
  EXPECT_TRUE(manager.save(0, state(0)).get());
  const auto large = [](IoOp op) {
    return [op](const engine::IoRequest& request) {
      return request.op == op && request.length > 100'000;
    };
  };
  faults->hold(large(IoOp::write));
  const SaveFuture save = manager.save(1, state(1));
  faults->wait_until_held(1);
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
  faults->release();
  EXPECT_TRUE(save.get());
  faults->hold(large(IoOp::read));
  Future<Restored> restored = manager.restore(0);
  faults->wait_until_held(1);
  EXPECT_TRUE(manager.save(2, state(2)).get());
  faults->release();
  EXPECT_EQ(restored.get().tree(), state(0));
}

TEST_P(Failure, AHungFileSystemFailsTheSaveAtItsDeadline) {
  ManagerOptions o = options(faulty());
  o.async_timeout = std::chrono::seconds(60);
  CheckpointManager manager(root(), o);
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture save = manager.save(0, state(0));
  faults->wait_until_held(1);
  EXPECT_FALSE(save.ready());
  clock->advance(std::chrono::seconds(61));
  EXPECT_EQ(error_of(save).code(), ErrorCode::timed_out);
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.engine()->stats().quarantined_tasks, 1u);
  EXPECT_TRUE(manager.all_steps().empty());
  faults->release();
  EXPECT_TRUE(manager.save(1, state(1)).get()) << "the file system came back";
  EXPECT_EQ(manager.engine()->stats().quarantined_tasks, 0u);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
}

TEST_P(Failure, AnErrorIsDeliveredOnceToWhoeverAsksFirst) {
  CheckpointManager manager(root(), options(faulty()));
  faults->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  {
    const SaveFuture dropped = manager.save(0, state(0));
    EXPECT_THROW(manager.wait_until_finished().get(), Error);
  }
  manager.check_for_errors();
  manager.wait_until_finished().get();
  faults->clear();
  faults->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::io_error);
  manager.check_for_errors();  // its own future has delivered it
  manager.close().get();
}

TEST_P(Failure, EveryThreadThatWaitsGetsTheError) {
  CheckpointManager manager(root(), options(faulty()));
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture save = manager.save(0, state(0));
  faults->wait_until_held(1);
  Future<void> first = manager.wait_until_finished();
  Future<void> second = manager.wait_until_finished();
  save.cancel();
  faults->release();
  EXPECT_THROW(first.get(), Error);
  EXPECT_THROW(second.get(), Error);
  manager.check_for_errors();
  EXPECT_TRUE(manager.save(0, state(0)).get());
}

TEST_P(Failure, AManagerMayBeDestroyedWithSavesUnderWay) {
  std::optional<SaveFuture> save;
  {
    CheckpointManager manager(root(), options());
    save = manager.save(0, state(0));
  }
  EXPECT_TRUE(save->get());
}

TEST_P(Failure, ABlockingWaitOnTheEnginesThreadIsRefused) {
  CheckpointManager manager(root(), options());
  std::exception_ptr refused;
  auto body = [&] {
    try {
      static_cast<void>(manager.save(0, state(0)).get());
    } catch (...) {
      refused = std::current_exception();
    }
  };
  std::promise<void> done;
  boost::asio::post(manager.engine()->executor(), [&] {
    body();
    done.set_value();
  });
  done.get_future().get();
  EXPECT_TRUE(refused != nullptr);
  manager.wait_until_finished().get();
}

TEST_P(Failure, AShortWriteIsCarriedOn) {
  test::EngineSettings settings = faulty();
  CheckpointManager manager(root(), options(settings));
  faults->shorten(FaultPlan::only({IoOp::write}), 1, 4096);
  EXPECT_TRUE(manager.save(0, state(5)).get());
  EXPECT_EQ(faults->injected(), 1u);
  EXPECT_EQ(manager.restore(0).get().tree(), state(5));
}

}  // namespace
}  // namespace cairn
