// The rest of the public interface: getters, sources, other roots, readers.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/json/parse.hpp>
#include <thread>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

/// Elements whose value is their index; answers on a thread of its own, as a device would.
class CountingSource final : public Source {
 public:
  ~CountingSource() override {
    for (std::thread& thread : threads_) thread.join();
  }
  void read(const IndexRange& range, std::span<std::byte> to,
            std::function<void(std::exception_ptr)> done) override {
    threads_.emplace_back([range, to, done = std::move(done)] {
      auto* values = reinterpret_cast<float*>(to.data());
      for (Index i = 0; i < range.shape[0]; ++i)
        values[i] = static_cast<float>(range.origin[0] + i);
      done(nullptr);
    });
  }

 private:
  std::vector<std::thread> threads_;
};

/// Fails every read.
class BrokenSource final : public Source {
 public:
  void read(const IndexRange&, std::span<std::byte>,
            std::function<void(std::exception_ptr)> done) override {
    done(std::make_exception_ptr(std::runtime_error("device lost")));
  }
};

Tree leaf_of(Index elements) {
  return Tree(
      Dict{{"w", Tree(Leaf(DType::float32, {elements}, std::make_shared<CountingSource>()))}});
}

class Api : public test::ManagerTest {
 protected:
  /// Large enough for a chunk of its own, unless told.
  static Tree state(std::int64_t value, Index elements = 1 << 18) {
    return test::state_of(value, elements);
  }
  test::EngineSettings faulty() {
    test::EngineSettings settings;
    settings.faults = faults;
    return settings;
  }
  std::shared_ptr<FaultPlan> faults = std::make_shared<FaultPlan>();
};
CAIRN_ON_EVERY_BACKEND(Api);

TEST_P(Api, SavesWhatASourceProduces) {
  CheckpointManager manager(root(), options());
  for (const Index elements : {Index{3}, Index{5000}, Index{1} << 20}) {
    EXPECT_TRUE(manager.save(elements, leaf_of(elements)).get());
    Restored restored = manager.restore(elements).get();
    const auto values = restored.tree().at("w").as<Array>().values<float>();
    ASSERT_EQ(values.size(), static_cast<std::size_t>(elements));
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], static_cast<float>(i));
  }
}

TEST_P(Api, JoinsThePartsOfALeaf) {
  const Array left = Array::from(std::span<const float>(std::vector<float>{1, 2, 5, 6}), {2, 2});
  const Array right = Array::from(std::span<const float>(std::vector<float>{3, 4, 7, 8}), {2, 2});
  std::vector<LeafPart> parts;
  parts.emplace_back(IndexRange{{0, 0}, {2, 2}}, ArrayView(left));
  parts.emplace_back(IndexRange{{0, 2}, {2, 2}}, ArrayView(right));
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(
      manager.save(0, Dict{{"w", Tree(Leaf(DType::float32, {2, 4}, std::move(parts)))}}).get());
  const Array expected =
      Array::from(std::span<const float>(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}), {2, 4});
  EXPECT_EQ(manager.restore(0).get().tree().at("w"), Tree(expected));
}

TEST_P(Api, AFailingSourceFailsItsSave) {
  CheckpointManager manager(root(), options());
  const SaveFuture save = manager.save(
      0, Dict{{"w", Tree(Leaf(DType::float32, {1 << 20}, std::make_shared<BrokenSource>()))}});
  try {
    static_cast<void>(save.get());
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("device lost"));
  }
  EXPECT_TRUE(manager.save(0, state(0)).get());
}

TEST_P(Api, ASaveWithASourceEndsWhenItsDirectoryCannotBeMade) {
  CheckpointManager manager(root(), options(faulty()));
  faults->fail(FaultPlan::only({IoOp::allocate}), 1, ENOSPC);
  EXPECT_THROW(static_cast<void>(manager.save(0, leaf_of(1 << 20)).get()), Error);
  EXPECT_TRUE(manager.save(0, leaf_of(1 << 20)).get());
}

TEST_P(Api, ASaveWithASourceCanBeCancelled) {
  CheckpointManager manager(root(), options(faulty()));
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first = manager.save(0, state(0));
  faults->wait_until_held(1);
  const SaveFuture second = manager.save(1, leaf_of(1 << 20));
  second.cancel();
  EXPECT_THROW(static_cast<void>(second.get()), Error);
  faults->release();
  EXPECT_TRUE(first.get());
}

TEST_P(Api, GettersTellSavesUnderWayFromCommittedSteps) {
  CheckpointManager manager(root(), options(faulty()));
  EXPECT_TRUE(manager.save(0, state(0)).get());
  manager.wait_until_finished().get();
  EXPECT_FALSE(manager.is_saving_in_progress());
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture save = manager.save(1, state(1));
  faults->wait_until_held(1);
  EXPECT_TRUE(manager.is_saving_in_progress());
  EXPECT_EQ(manager.latest_step(), 1);
  EXPECT_EQ(manager.latest_committed_step(), 0);
  EXPECT_FALSE(manager.should_save(1));
  EXPECT_TRUE(manager.should_save(2));
  EXPECT_EQ(manager.restore().get().step(), 0);
  EXPECT_THROW(manager.delete_step(1).get(), Error) << "it is being saved";
  faults->release();
  EXPECT_TRUE(save.get());
  EXPECT_FALSE(manager.is_saving_in_progress());
  EXPECT_EQ(manager.latest_committed_step(), 1);
}

TEST_P(Api, ProgressGrowsToTheTotal) {
  CheckpointManager manager(root(), options());
  const SaveFuture save = manager.save(0, state(0));
  EXPECT_TRUE(save.get());
  const SaveProgress progress = save.progress();
  EXPECT_EQ(progress.total, 8u + (1u << 20));
  EXPECT_EQ(progress.staged, progress.total);
  EXPECT_EQ(progress.encoded, progress.total);
  EXPECT_EQ(progress.written, progress.total);
}

TEST_P(Api, RestoresSomeItemsOnly) {
  CheckpointManager manager(root(), options());
  args::Composite items;
  items.add("a", args::StandardSave(state(1)));
  items.add("b", args::StandardSave(state(2)));
  items.add("c", args::JsonSave(boost::json::parse("[1, 2]")));
  EXPECT_TRUE(manager.save(0, std::move(items)).get());
  Restored restored = manager
                          .restore(0, args::CompositeRestore{{"b", args::StandardRestore()},
                                                             {"c", args::JsonRestore()}})
                          .get();
  EXPECT_EQ(restored.items().size(), 2u);
  EXPECT_EQ(restored.tree("b"), state(2));
  EXPECT_EQ(restored.json("c").as_array().size(), 2u);
  EXPECT_THROW(static_cast<void>(restored.tree("a")), Error);
  EXPECT_THROW(static_cast<void>(restored.tree("c")), Error);
  EXPECT_THROW(
      static_cast<void>(
          manager.restore(0, args::CompositeRestore{{"c", args::StandardRestore()}}).get()),
      Error);
}

TEST_P(Api, ATreeByItselfIsAnItemOfAComposite) {
  CheckpointManager manager(root(), options());
  const args::Composite items{{"a", state(1)}, {"b", Dict{{"x", 2}}}};
  EXPECT_TRUE(manager.save(0, items).get());
  Restored restored = manager.restore(0).get();
  EXPECT_EQ(restored.tree("a"), state(1));
  EXPECT_EQ(restored.tree("b"), Tree(Dict{{"x", 2}}));
}

TEST_P(Api, RestoresFromAnotherRoot) {
  CheckpointManager first(root() + "/a", options());
  EXPECT_TRUE(first.save(7, state(7)).get());
  CheckpointManager second(root() + "/b", options());
  RestoreOptions elsewhere;
  elsewhere.directory = root() + "/a";
  Restored restored = second.restore(std::nullopt, {}, elsewhere).get();
  EXPECT_EQ(restored.step(), 7);
  EXPECT_EQ(restored.tree(), state(7));
  EXPECT_TRUE(second.all_steps().empty());
}

TEST_P(Api, AJsonDocumentMayBeTheSingleItem) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, args::JsonSave(boost::json::parse(R"({"a": 1})"))).get());
  Restored restored = manager.restore(0, args::JsonRestore()).get();
  EXPECT_EQ(restored.json("default").at("a").as_int64(), 1);
}

TEST_P(Api, TwoManagersTakeTurnsAndReloadSeesTheOther) {
  CheckpointManager first(root(), options());
  CheckpointManager second(root(), options());
  EXPECT_TRUE(first.save(0, state(0)).get());
  first.wait_until_finished().get();
  EXPECT_TRUE(second.save(1, state(1)).get());
  second.wait_until_finished().get();
  EXPECT_EQ(first.all_steps(), (std::vector<Step>{0}));
  first.reload();
  EXPECT_EQ(first.all_steps(), (std::vector<Step>{0, 1}));
  std::vector<Step> listed;
  for (const StepEntry& step : list_steps(first.engine(), root()).get())
    listed.push_back(step.step);
  EXPECT_EQ(listed, (std::vector<Step>{0, 1}));
}

TEST_P(Api, AResultIsTakenOnce) {
  CheckpointManager manager(root(), options());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  Future<Restored> restored = manager.restore(0);
  EXPECT_EQ(restored.get().tree(), Tree(state(0)));
  try {
    static_cast<void>(restored.get());
    ADD_FAILURE() << "there is nothing left to take";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("taken already"));
  }
}

TEST_P(Api, WhatATemporaryResultHasOutlivesIt) {
  CheckpointManager manager(root(), options());
  const boost::json::value document = boost::json::object{{"epoch", 3}};
  args::Composite items;
  items.add("params", state(1)).add("data", args::JsonSave(document));
  EXPECT_TRUE(manager.save(0, std::move(items)).get());
  const Tree& tree = manager.restore(0).get().tree();
  const Tree& named = manager.restore(0).get().tree("params");
  const Tree& child = manager.restore(0).get().tree().at("w");
  const Array& array = manager.restore(0).get().tree().at("w").as<Array>();
  const boost::json::value& json = manager.restore(0).get().json("data");
  const auto& typed = manager.restore(0).get().get<boost::json::value>("data");
  args::CompositeRestore later{{"params", args::LazyRestore()}};
  const LazyTree& lazy = manager.restore(0, later).get().lazy();
  EXPECT_EQ(tree, state(1));
  EXPECT_EQ(named, state(1));
  EXPECT_EQ(child, state(1).at("w"));
  EXPECT_EQ(Tree(array), child);
  EXPECT_EQ(json, document);
  EXPECT_EQ(typed, document);
  EXPECT_EQ(lazy.read().get(), state(1));

  Restored kept = manager.restore(0).get();
  static_assert(std::is_same_v<decltype(kept.tree()), Tree&>);
  static_assert(std::is_same_v<decltype(std::as_const(kept).tree()), const Tree&>);
  static_assert(std::is_same_v<decltype(std::move(kept).tree()), Tree>);
  kept.json("data").as_object()["epoch"] = 4;
  EXPECT_EQ(std::as_const(kept).json("data").at("epoch"), 4) << "it is the same document";
  EXPECT_EQ(&kept.tree(), &std::as_const(kept).tree("params"));
}

TEST_P(Api, AStepThatAReaderHoldsIsDeletedLater) {
  ManagerOptions o = options();
  o.max_to_keep = 1;
  CheckpointManager manager(root(), o);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  const int reader = ::open((root() + "/0/_CHECKPOINT_METADATA").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  ASSERT_EQ(::flock(reader, LOCK_SH | LOCK_NB), 0);
  EXPECT_TRUE(manager.save(1, state(1)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{1}));
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0", "1"}));
  ::close(reader);
  EXPECT_TRUE(manager.save(2, state(2)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "2"}));
}

TEST_P(Api, AStepThatAReaderHoldsNoLongerCountsForWhatIsKept) {
  ManagerOptions o = options();
  o.preservation_policy = preservation::EveryNSteps(5, false);
  CheckpointManager manager(root(), o);
  for (const Step step : {0, 3}) EXPECT_TRUE(manager.save(step, state(step)).get());
  const int reader = ::open((root() + "/3/_CHECKPOINT_METADATA").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(reader, LOCK_SH | LOCK_NB), 0);
  EXPECT_TRUE(manager.save(5, state(5)).get());
  manager.wait_until_finished().get();
  manager.delete_step(0).get();
  for (const Step step : {8, 10}) EXPECT_TRUE(manager.save(step, state(step)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{5, 10})) << "counted from 3, 8 would stay";
  ::close(reader);
}

TEST_P(Api, AStepThatIsSavedAgainIsNotDeletedByAnOldVerdict) {
  ManagerOptions o = options();
  o.max_to_keep = 1;
  CheckpointManager manager(root(), o);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  const int reader = ::open((root() + "/0/_CHECKPOINT_METADATA").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(reader, LOCK_SH | LOCK_NB), 0);
  EXPECT_TRUE(manager.save(1, state(1)).get());
  manager.delete_step(1).get();
  SaveOptions again;
  again.overwrite = true;
  again.force = true;
  EXPECT_TRUE(manager.save(0, state(5), again).get());
  manager.wait_until_finished().get();
  ::close(reader);
  EXPECT_EQ(manager.restore(0).get().tree(), state(5));
}

TEST_P(Api, ManySavesMayWaitWithTheirArraysCaptured) {
  ManagerOptions o = options(faulty());
  o.max_pending = 3;
  CheckpointManager manager(root(), o);
  faults->hold(FaultPlan::only({IoOp::write}));
  std::vector<SaveFuture> saves;
  for (Step step = 0; step < 4; ++step) saves.push_back(manager.save(step, state(step)));
  for (const SaveFuture& save : saves) save.wait_staged();
  saves[1].cancel();
  faults->release();
  for (const Step step : {0, 2, 3}) EXPECT_TRUE(saves[static_cast<std::size_t>(step)].get());
  EXPECT_THROW(static_cast<void>(saves[1].get()), Error);
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{0, 2, 3}));
}

TEST_P(Api, ASaveUnderWayFixesTheModeForThoseBehindIt) {
  CheckpointManager manager(root(), options(faulty()));
  faults->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture first = manager.save(0, state(0));
  args::Composite items;
  items.add("a", args::StandardSave(state(1)));
  const SaveFuture second = manager.save(1, std::move(items));
  EXPECT_THROW(static_cast<void>(second.get()), Error);
  faults->release();
  EXPECT_TRUE(first.get());
}

TEST_P(Api, AManagerCanBeMoved) {
  CheckpointManager first(root() + "/a", options());
  CheckpointManager second(root() + "/b", options());
  const SaveFuture save = second.save(0, state(0));
  second = std::move(first);
  EXPECT_TRUE(save.get()) << "the old one was closed, which waits";
  EXPECT_EQ(second.directory(), root() + "/a");
  EXPECT_TRUE(second.save(0, state(0)).get());
}

TEST_P(Api, ARefusedSaveThatNobodyLookedAtIsReportedByClose) {
  CheckpointManager manager(root(), options());
  { const SaveFuture dropped = manager.save(-1, state(0)); }
  EXPECT_THROW(manager.close().get(), Error);
}

TEST_P(Api, AnUnseenErrorIsAttachedToTheNextSave) {
  CheckpointManager manager(root(), options());
  { const SaveFuture dropped = manager.save(-1, state(0)); }
  const SaveResult result = manager.save(0, state(0)).get();
  EXPECT_THAT(result.warning, ::testing::HasSubstr("negative"));
  EXPECT_THROW(manager.check_for_errors(), Error);
}

TEST_P(Api, WaitsCompleteOnManyThreads) {
  CheckpointManager manager(root(), options());
  boost::asio::thread_pool pool(4);
  std::atomic<int> done{0};
  for (Step step = 0; step < 20; ++step) {
    const SaveFuture save = manager.save(step, state(step, 64));
    for (int i = 0; i < 4; ++i) {
      auto count = [&done](std::exception_ptr error, const SaveResult& result) {
        if (!error && result) ++done;
      };
      save.committed(boost::asio::bind_executor(pool.get_executor(), count));
    }
  }
  pool.join();
  EXPECT_EQ(done, 80);
}

}  // namespace
}  // namespace cairn
