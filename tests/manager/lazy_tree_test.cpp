// Trees that are restored lazily: what is in them at once, elements when somebody asks.

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "manager/restore_samples.h"

namespace cairn::test {
namespace {

using args::Selection;
using ::testing::HasSubstr;

class LazyTreeTest : public RestoreTest {
 protected:
  [[nodiscard]] static Array big() { return normal_float32({2048, 512}, 1); }  // 4 MiB
  [[nodiscard]] static Dict model() {
    return Dict{{"w", big()},
                {"layers", List{Dict{{"b", counting(DType::float32, {700})}}, Dict{{"b", 2}}}},
                {"n", 7},
                {"none", Null()}};
  }
  /// Step 0 of the root, its chunks of 128 KiB.
  void save(CheckpointManager& manager) { ASSERT_TRUE(manager.save(0, model()).get()); }
  [[nodiscard]] ManagerOptions fine(std::shared_ptr<engine::Engine> with = nullptr) {
    ManagerOptions options;
    options.engine = with ? with : engine();
    options.incremental = true;
    return options;
  }
  static LazyTree open(CheckpointManager& manager) {
    return manager.restore(0, args::LazyRestore()).get().lazy();
  }
};
CAIRN_ON_EVERY_BACKEND(LazyTreeTest);

TEST_P(LazyTreeTest, ShapesAndDtypesAreThereBeforeAnyArrayIsRead) {
  CheckpointManager manager(root(), fine());
  save(manager);
  const std::uint64_t before = engine()->stats().bytes_read;
  const LazyTree lazy = open(manager);
  EXPECT_LT(engine()->stats().bytes_read - before, 200'000u);
  const Leaf& w = lazy.tree().at("w").as<Leaf>();
  EXPECT_EQ(w.dtype(), DType::float32);
  EXPECT_EQ(w.shape(), (Shape{2048, 512}));
  EXPECT_EQ(lazy.tree().at("n"), Tree(7));
  EXPECT_TRUE(lazy.tree().at("none").is<Null>());
  EXPECT_TRUE(lazy.custom_metadata().empty());
}

TEST_P(LazyTreeTest, LeavesPrefixesAndRangesAreReadWhenAskedFor) {
  CheckpointManager manager(root(), fine());
  save(manager);
  const LazyTree lazy = open(manager);
  EXPECT_EQ(lazy.read().get(), Tree(model()));
  EXPECT_EQ(lazy.read_at(Selection("w")).get(), Tree(big()));
  EXPECT_EQ(lazy.read_at(Selection("layers[1]")).get(), Tree(Dict{{"b", 2}}));
  EXPECT_EQ(lazy.read_at(Selection(KeyPath{Key("layers", Key::Kind::dict),
                                           Key("0", Key::Kind::sequence)}))
                .get(),
            model().at("layers").at(0));
  EXPECT_EQ(lazy.read_at(Selection("")).get(), Tree(model()));
  const std::uint64_t before = engine()->stats().bytes_read;
  const IndexRange rows{{100, 0}, {20, 512}};
  Array expected = Array::uninitialized(DType::float32, rows.shape);
  const Array whole = big();
  copy_region(whole, rows.origin, rows.shape, expected.bytes().data());
  EXPECT_EQ(lazy.read_at(Selection("w", rows)).get(), Tree(expected));
  EXPECT_LT(engine()->stats().bytes_read - before, 1u << 20);
  const Tree some =
      lazy.read(args::StandardRestore({Selection("layers[1]"), Selection("n")})).get();
  EXPECT_EQ(some, Tree(Dict{{"layers", List{Null(), Dict{{"b", 2}}}}, {"n", 7}}));
}

TEST_P(LazyTreeTest, ElementsAreReadIntoATargetAgainAndAgain) {
  CheckpointManager manager(root(), fine());
  save(manager);
  const LazyTree lazy = open(manager);
  Array memory(DType::float64, {2048, 512});
  args::StandardRestore part(Tree(Dict{{"w", MutableArrayView(memory)}}));
  part.partial_restore = true;
  for (int round = 0; round < 2; ++round) {
    std::memset(memory.bytes().data(), 0, memory.bytes().size());
    lazy.read(part).get();
    EXPECT_EQ(memory, cast_array(big(), DType::float64));
  }
  // Its own tree is a target too.
  EXPECT_EQ(lazy.read(args::StandardRestore(lazy.tree())).get(), Tree(model()));
  args::PyTreeRestore renamed(Tree(Dict{{"x", 0}}));
  renamed.transforms.push_back(TransformRule::rename("x", "layers/1/b"));
  EXPECT_EQ(lazy.read(renamed).get(), Tree(Dict{{"x", 2}}));
}

TEST_P(LazyTreeTest, WhatIsNotThereIsAnErrorOfTheReadAlone) {
  CheckpointManager manager(root(), fine());
  save(manager);
  const LazyTree lazy = open(manager);
  Error error = error_of([&] { lazy.read_at(Selection("layer")).get(); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.what(), HasSubstr("there are w, layers[0]/b"));
  error = error_of([&] { lazy.read_at(Selection("w", IndexRange{{2000, 0}, {49, 1}})).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  error = error_of([&] { lazy.read_at(Selection("none", IndexRange{{0}, {1}})).get(); });
  EXPECT_THAT(error.what(), HasSubstr("the leaf is no array"));
  EXPECT_EQ(lazy.read_at(Selection("n")).get(), Tree(7));
  // A text that ends within a key.
  ASSERT_TRUE(manager.save(1, Dict{{"a/b", 1}, {"c", 2}}).get());
  const LazyTree slashes = manager.restore(1, args::LazyRestore()).get().lazy();
  EXPECT_EQ(slashes.read_at(Selection("a/b")).get(), Tree(1));
  EXPECT_EQ(error_of([&] { slashes.read_at(Selection("a")).get(); }).code(), ErrorCode::not_found);
}

TEST_P(LazyTreeTest, DamageReachesWhoeverAsksForTheChunk) {
  CheckpointManager manager(root(), fine());
  save(manager);
  const Array w = big();
  damage(root() + "/0", w.bytes().subspan(3 << 20, 100));
  const LazyTree lazy = open(manager);
  EXPECT_EQ(lazy.read_at(Selection("layers")).get(), model().at("layers"));
  EXPECT_NO_THROW(lazy.read_at(Selection("w", IndexRange{{0, 0}, {100, 512}})).get());
  const Error error = error_of([&] { lazy.read_at(Selection("w")).get(); });
  EXPECT_EQ(error.code(), ErrorCode::data_loss);
  EXPECT_EQ(error.context().key_path, "w");
}

TEST_P(LazyTreeTest, HoldsItsStepAgainstDeletionUntilItIsGone) {
  CheckpointManager manager(root(), fine());
  save(manager);
  LazyTree lazy = open(manager);
  EXPECT_EQ(error_of([&] { manager.delete_step(0).get(); }).code(), ErrorCode::busy);
  EXPECT_EQ(lazy.read_at(Selection("n")).get(), Tree(7));
  lazy = LazyTree();
  EXPECT_FALSE(lazy.valid());
  manager.delete_step(0).get();
  EXPECT_EQ(manager.all_steps(true), std::vector<Step>());
}

TEST_P(LazyTreeTest, RetentionComesBackForAStepThatIsHeld) {
  ManagerOptions options = fine();
  options.max_to_keep = 1;
  CheckpointManager manager(root(), options);
  save(manager);
  LazyTree lazy = open(manager);
  ASSERT_TRUE(manager.save(1, model()).get());
  manager.wait_until_finished().get();
  EXPECT_TRUE(std::filesystem::exists(root() + "/0"));
  EXPECT_EQ(lazy.read().get(), Tree(model()));
  lazy = LazyTree();
  ASSERT_TRUE(manager.save(2, model()).get());
  manager.wait_until_finished().get();
  EXPECT_FALSE(std::filesystem::exists(root() + "/0"));
}

TEST_P(LazyTreeTest, OutlivesItsManager) {
  LazyTree lazy;
  {
    CheckpointManager manager(root(), fine());
    save(manager);
    lazy = open(manager);
    manager.close().get();
    EXPECT_EQ(lazy.read().get(), Tree(model()));
  }
  EXPECT_EQ(lazy.read_at(Selection("w")).get(), Tree(big()));
}

TEST_P(LazyTreeTest, IsAnItemAmongOthersAndCanBeSavedAgain) {
  CheckpointManager manager(root(), fine());
  args::Composite items;
  items.add("params", args::StandardSave(model()));
  items.add("meta", args::JsonSave(boost::json::object{{"a", 1}}));
  ASSERT_TRUE(manager.save(0, std::move(items)).get());
  Restored restored = manager
                          .restore(0, args::CompositeRestore{{"params", args::LazyRestore()},
                                                             {"meta", args::JsonRestore()}})
                          .get();
  EXPECT_EQ(restored.json("meta").at("a"), 1);
  const LazyTree lazy = restored.lazy("params");
  EXPECT_EQ(&lazy.tree(), &restored.lazy().tree());
  CheckpointManager copy(fresh_root(), given());
  ASSERT_TRUE(copy.save(0, lazy.tree()).get());
  EXPECT_EQ(copy.restore(0).get().tree(), Tree(model()));
  EXPECT_THAT(error_of([&] { static_cast<void>(restored.tree("params")); }).what(),
              HasSubstr("is a lazy tree, not a tree"));
  const Error error = error_of([&] {
    manager.restore(0, args::CompositeRestore{{"meta", args::LazyRestore()}}).get();
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
}

boost::asio::awaitable<void> read_both(const LazyTree* lazy, std::vector<Tree>* trees) {
  Future<Tree> first = lazy->read_at(Selection("layers"));
  Future<Tree> second = lazy->read_at(Selection("w"));
  trees->push_back(co_await second.result());
  trees->push_back(co_await first.result());
}

TEST_P(LazyTreeTest, ReadsAreAwaitableAndSeveralAtOnce) {
  CheckpointManager manager(root(), fine());
  save(manager);
  const LazyTree lazy = open(manager);
  boost::asio::io_context context;
  std::vector<Tree> trees;
  boost::asio::co_spawn(context, read_both(&lazy, &trees), boost::asio::detached);
  context.run();
  ASSERT_EQ(trees.size(), 2u);
  EXPECT_EQ(trees[0], Tree(big()));
  EXPECT_EQ(trees[1], model().at("layers"));
}

TEST_P(LazyTreeTest, AReadThatIsCancelledEndsWhenNothingUsesItsMemoryAnyMore) {
  EngineSettings settings;
  settings.faults = std::make_shared<engine::FaultPlan>();
  settings.direct_io = engine::DirectIo::off;
  CheckpointManager manager(root(), fine(make_engine(GetParam(), settings)));
  save(manager);
  const LazyTree lazy = open(manager);
  Array memory(DType::float32, {2048, 512});
  args::StandardRestore part(Tree(Dict{{"w", MutableArrayView(memory)}}));
  part.partial_restore = true;
  settings.faults->hold(engine::FaultPlan::only({engine::IoOp::read}));
  Future<Tree> read = lazy.read(part);
  settings.faults->wait_until_held(1);
  read.cancel();
  EXPECT_FALSE(read.ready()) << "a read is still out";
  settings.faults->release();
  EXPECT_EQ(error_of([&] { read.get(); }).code(), ErrorCode::cancelled);
  read.cancel();  // too late, and harmless
  lazy.read(part).get();
  EXPECT_EQ(memory, big());
}

}  // namespace
}  // namespace cairn::test
