// Saving and restoring, on both backends.

#include <cairn/cairn.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <future>
#include <numeric>
#include <thread>

#include "support/backends.h"
#include "support/manager_fixture.h"
#include "support/temp_directory.h"

namespace cairn {
namespace {

using test::ManagerTest;

Array counting(Shape shape, float from = 0) {
  Array array = Array::uninitialized(DType::float32, std::move(shape));
  auto values = array.values<float>();
  std::iota(values.begin(), values.end(), from);
  return array;
}

class SaveRestore : public ManagerTest {};
CAIRN_ON_EVERY_BACKEND(SaveRestore);

TEST_P(SaveRestore, GivesBackTheTreeThatWasSaved) {
  CheckpointManager manager(root(), options());
  Dict optimizer{{"count", Tree(7)},
                 {"rate", Tree(0.5)},
                 {"on", Tree(true)},
                 {"seed", Tree(std::uint64_t{1} << 63)}};
  Tree tree(
      Dict{{"w", Tree(counting({3, 5}))},
           {"layers", Tree(List{Tree(counting({2})), Tree(Null()), Tree(Tuple{Tree(1), Tree(2)})})},
           {"opt", Tree(std::move(optimizer))},
           {"none", Tree(Dict())},
           {"empty", Tree(Array(DType::int32, {0, 4}))}});
  const Tree expected = tree;
  const SaveResult result = manager.save(0, std::move(tree)).get();
  EXPECT_TRUE(result);
  Restored restored = manager.restore().get();
  EXPECT_EQ(restored.step(), 0);
  EXPECT_EQ(restored.tree(), expected);
}

TEST_P(SaveRestore, KnowsTuplesApartWhoseNamesTheSameDotsJoin) {
  const Tree tree(
      Dict{{"a", Tree(Dict{{"b", Tree(Tuple{Tree(Dict{{"x", Tree(1)}})})}})},
           {"a.b", Tree(List{Tree(Dict{{"y", Tree(2)}})})},
           {"c", Tree(Dict{{"d", Tree(List{Tree(Tuple{Tree(3)}), Tree(List{Tree(4)})})}})},
           {"c.d", Tree(Tuple{Tree(List{Tree(Dict{{"z", Tree(5)}})})})}});
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, tree).get());
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
  const Tree bare(Tuple{Tree(1), Tree(Tuple{Tree(2)})});
  EXPECT_TRUE(manager.save(1, bare).get());
  EXPECT_EQ(manager.restore(1).get().tree(), bare);
}

TEST_P(SaveRestore, SplitsALargeArrayIntoChunksAndGivesItBack) {
  CheckpointManager manager(root(), options());
  const Tree tree(Dict{{"big", Tree(counting({9, 1 << 20}))}, {"odd", Tree(counting({123, 457}))}});
  EXPECT_TRUE(manager.save(3, tree).get());
  EXPECT_EQ(manager.restore(3).get().tree(), tree);
}

TEST_P(SaveRestore, CapturesArraysByTheTimeStagedCompletes) {
  CheckpointManager manager(root(), options());
  Array array = counting({1 << 20});
  const Array before = array;
  SaveFuture save = manager.save(0, Dict{{"w", Tree(ArrayView(array))}});
  save.wait_staged();
  for (float& value : array.values<float>()) value = -1;
  EXPECT_TRUE(save.get());
  EXPECT_EQ(manager.restore(0).get().tree().at("w"), Tree(before));
}

TEST_P(SaveRestore, BorrowsAlignedMemory) {
  CheckpointManager manager(root(), options());
  const Array array = counting({3, 1 << 20});
  SaveOptions save_options;
  save_options.capture = Capture::borrow;
  EXPECT_TRUE(manager
                  .save(0, Dict{{"w", Tree(ArrayView(array))}, {"v", Tree(counting({70000}))}},
                        save_options)
                  .get());
  Restored restored = manager.restore(0).get();
  EXPECT_EQ(restored.tree().at("w"), Tree(array));
  EXPECT_EQ(restored.tree().at("v"), Tree(counting({70000})));
}

TEST_P(SaveRestore, KeepsSeveralItemsByName) {
  CheckpointManager manager(root(), options());
  args::Composite items;
  items.add("params", args::StandardSave(Tree(Dict{{"w", Tree(counting({4}))}})));
  items.add("data", args::JsonSave(boost::json::parse(R"({"epoch": 3, "file": "a.txt"})")));
  EXPECT_TRUE(manager.save(1, std::move(items)).get());
  Restored restored = manager.restore(1).get();
  EXPECT_EQ(restored.tree("params").at("w"), Tree(counting({4})));
  EXPECT_EQ(restored.json("data").at("epoch").as_int64(), 3);
}

TEST_P(SaveRestore, StoresMetrics) {
  CheckpointManager manager(root(), options());
  SaveOptions save_options;
  save_options.metrics["loss"] = 0.25;
  EXPECT_TRUE(manager.save(1, Dict{{"w", Tree(counting({4}))}}, save_options).get());
  EXPECT_EQ(manager.metrics(1).get().at("loss").as_double(), 0.25);
  EXPECT_EQ(manager.restore(1, args::StandardRestore()).get().tree().at("w"), Tree(counting({4})));
}

TEST_P(SaveRestore, CanBeAwaitedInACoroutine) {
  CheckpointManager manager(root(), options());
  boost::asio::io_context context;
  bool done = false;
  auto body = [](CheckpointManager* m, bool* finished) -> boost::asio::awaitable<void> {
    SaveFuture save = m->save(0, Dict{{"w", Tree(counting({16}))}});
    co_await save.staged();
    const SaveResult result = co_await save.committed();
    EXPECT_TRUE(result);
    Future<Restored> restore = m->restore(0);
    Restored restored = co_await restore.result();
    EXPECT_EQ(restored.tree().at("w"), Tree(counting({16})));
    *finished = true;
  };
  boost::asio::co_spawn(context, body(&manager, &done), boost::asio::detached);
  context.run();
  EXPECT_TRUE(done);
}

TEST_P(SaveRestore, KeepsTheNewestStepsOnly) {
  ManagerOptions o = options();
  o.max_to_keep = 2;
  CheckpointManager manager(root(), o);
  for (Step step = 0; step < 5; ++step)
    EXPECT_TRUE(manager.save(step, Dict{{"s", Tree(step)}}).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{3, 4}));
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{3, 4}));
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "3", "4"}));
}

TEST_P(SaveRestore, QueuesSavesThatCallersDoNotWaitFor) {
  CheckpointManager manager(root(), options());
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 6; ++step)
    saves.push_back(manager.save(step, Dict{{"w", Tree(counting({1 << 18}, float(step)))}}));
  EXPECT_EQ(manager.all_steps().size(), 6u);
  for (const SaveFuture& save : saves) EXPECT_TRUE(save.get());
  for (Step step = 0; step < 6; ++step) {
    EXPECT_EQ(manager.restore(step).get().tree().at("w"), Tree(counting({1 << 18}, float(step))));
  }
}

TEST_P(SaveRestore, StreamsAStateThatIsLargerThanStaging) {
  test::EngineSettings settings;
  settings.staging_bytes = 20u << 20;
  CheckpointManager manager(root(), options(settings));
  const Tree tree(Dict{{"a", Tree(counting({12 << 20}))}, {"b", Tree(counting({5 << 20}))}});
  const SaveResult result = manager.save(0, tree).get();
  EXPECT_TRUE(result.streamed);
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
}

// The kernel provides memory more slowly than a save copies into it.
TEST_P(SaveRestore, TakesStagingAgainWhenTheDiskKeepsUpAndProvidesMoreWhenItDoesNot) {
  const auto pool = std::make_shared<engine::ManualPool>(1);
  const auto faults = std::make_shared<engine::FaultPlan>();
  test::EngineSettings settings;
  settings.cpu_pool = pool;
  settings.faults = faults;
  CheckpointManager manager(root(), options(settings));
  const auto touched = [&manager] { return manager.engine()->staging().stats().committed_bytes; };
  Dict arrays;
  for (int i = 0; i < 32; ++i) arrays[std::to_string(i)] = Tree(counting({1 << 18}, float(i)));
  const SaveFuture save = manager.save(0, Tree(arrays));
  // What has been copied is on the disk before more is.
  while (save.progress().staged < (24u << 20) && !save.ready()) {
    if (pool->run_one())
      while (save.progress().written < save.progress().staged && !save.ready())
        std::this_thread::yield();
  }
  EXPECT_LE(touched(), 16u << 20) << "of 32 MiB";
  faults->hold(engine::FaultPlan::only({engine::IoOp::write}));
  for (int idle = 0; touched() < (32u << 20) && idle < 1000;) {
    idle = pool->run_one() ? 0 : idle + 1;
    std::promise<void> gone_on;  // the strand, with what the task gave
    boost::asio::post(manager.engine()->executor(), [&] { gone_on.set_value(); });
    gone_on.get_future().get();
  }
  EXPECT_GE(touched(), 32u << 20);
  faults->release();
  while (!save.ready()) pool->run_one();
  EXPECT_TRUE(save.get());
  Future<Restored> restored = manager.restore(0);
  while (!restored.ready()) pool->run_one();
  EXPECT_EQ(restored.get().tree(), Tree(arrays));
}

TEST_P(SaveRestore, ReplacesAStepOnlyWhenAsked) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, Dict{{"s", Tree(1)}}).get());
  SaveOptions force;
  force.force = true;
  try {
    static_cast<void>(manager.save(0, Dict{{"s", Tree(2)}}, force).get());
    FAIL() << "the step was replaced";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::already_exists);
  }
  EXPECT_EQ(manager.restore(0).get().tree().at("s"), Tree(1));
  SaveOptions overwrite;
  overwrite.overwrite = true;
  EXPECT_TRUE(manager.save(0, Dict{{"s", Tree(3)}}, overwrite).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.restore(0).get().tree().at("s"), Tree(3));
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
}

TEST_P(SaveRestore, DeletesAStep) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, Dict{{"s", Tree(1)}}).get());
  EXPECT_TRUE(manager.save(1, Dict{{"s", Tree(1)}}).get());
  manager.delete_step(0).get();
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{1}));
  EXPECT_THROW(manager.delete_step(0).get(), Error);
}

TEST_P(SaveRestore, SkipsStepsByIntervalAndOrder) {
  ManagerOptions o = options();
  o.save_interval_steps = 2;
  CheckpointManager manager(root(), o);
  EXPECT_EQ(manager.save(1, Dict{{"s", Tree(1)}}).get().outcome, SaveOutcome::saved)
      << "the first save of an empty root";
  EXPECT_EQ(manager.save(3, Dict{{"s", Tree(1)}}).get().outcome, SaveOutcome::skipped_by_policy);
  EXPECT_EQ(manager.save(4, Dict{{"s", Tree(1)}}).get().outcome, SaveOutcome::saved);
  EXPECT_EQ(manager.save(2, Dict{{"s", Tree(1)}}).get().outcome, SaveOutcome::skipped_older_step);
}

TEST_P(SaveRestore, VerifiesWhatItWrote) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, Dict{{"w", Tree(counting({1 << 20}))}}).get());
  const VerifyReport report = verify_step(manager.engine(), root() + "/0").get();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.arrays, 1u);
  EXPECT_GE(report.bytes, 4u << 20);
}

}  // namespace
}  // namespace cairn
