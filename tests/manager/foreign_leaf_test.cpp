// A leaf of a type that a program registered with Orbax: nothing reads it, and it hides no other.

#include <gmock/gmock.h>

#include <numeric>

#include "support/files.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

using args::Selection;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// Step 0 has arrays `a` and `big`, the number `n`, and `b`, which is foreign.
class ForeignLeaf : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  void SetUp() override {
    std::iota(big_.values<float>().begin(), big_.values<float>().end(), 0.5F);
    CheckpointManager manager = open();
    Dict tree = others();
    tree["b"] = Tree(Array(DType::int8, {3}));
    ASSERT_TRUE(manager.save(0, Tree(std::move(tree))).get());
    manager.close().get();
    std::filesystem::remove(item() / "_CAIRN");  // which knows the file as it was
    std::string text = test::read_file(item() / "_METADATA");
    const std::string type = "np.ndarray";
    text.replace(text.find(type, text.find("('b',)")), type.size(), "torch.Tensor");
    std::ofstream(item() / "_METADATA", std::ios::binary) << text;
  }
  CheckpointManager open() {
    ManagerOptions options;
    options.engine = engine_;
    return CheckpointManager(root(), std::move(options));
  }
  [[nodiscard]] std::filesystem::path item() const {
    return std::filesystem::path(root()) / "0/default";
  }
  [[nodiscard]] Dict others() const {
    return Dict{{"a", Tree(Array(DType::int8, {3}))}, {"big", Tree(big_)}, {"n", Tree(3)}};
  }
  [[nodiscard]] std::vector<Selection> other_names() const {
    return {Selection("a"), Selection("big"), Selection("n")};
  }
  static void expect_foreign(const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_supported) << error.what();
    EXPECT_EQ(error.context().key_path, "b");
    EXPECT_THAT(error.what(), HasSubstr("\"torch.Tensor\""));
    EXPECT_THAT(error.context().remedy, HasSubstr("Placeholder()"));
  }

  Array big_ = Array(DType::float32, {1000});
};
CAIRN_ON_EVERY_BACKEND(ForeignLeaf);

TEST_P(ForeignLeaf, ALazyTreeOpensAndReadsWhatIsNotForeign) {
  CheckpointManager manager = open();
  const LazyTree lazy = manager.restore(0, args::LazyRestore()).get().lazy();
  EXPECT_TRUE(lazy.tree().at("b").as<LeafSpec>().is_placeholder());
  EXPECT_TRUE(lazy.tree().at("big").is<Leaf>());
  EXPECT_EQ(lazy.tree().at("n"), Tree(3));
  EXPECT_EQ(lazy.read_at(Selection("big")).get(), Tree(big_));
  EXPECT_EQ(lazy.read(args::StandardRestore(other_names())).get(), Tree(others()));
  // Its tree is a target as it stands.
  const Tree filled = lazy.read(args::StandardRestore(lazy.tree())).get();
  EXPECT_EQ(filled.at("big"), Tree(big_));
  EXPECT_TRUE(filled.at("b").as<LeafSpec>().is_placeholder());
}

TEST_P(ForeignLeaf, WhoeverAsksForItsValueIsToldWhyThereIsNone) {
  CheckpointManager manager = open();
  const LazyTree lazy = manager.restore(0, args::LazyRestore()).get().lazy();
  expect_foreign(error_of(lazy.read()));
  expect_foreign(error_of(lazy.read_at(Selection("b"))));
  expect_foreign(error_of(lazy.read(args::StandardRestore({Selection("a"), Selection("b")}))));
  Dict target = others();
  target["b"] = Tree(LeafSpec());
  expect_foreign(error_of(lazy.read(args::StandardRestore(Tree(target)))));
  expect_foreign(error_of(manager.restore(0, args::StandardRestore(Tree(target)))));
  expect_foreign(error_of(manager.restore(0)));
  expect_foreign(error_of(read_tree(engine_, item())));
}

TEST_P(ForeignLeaf, ARestoreThatLeavesItOutWorks) {
  CheckpointManager manager = open();
  EXPECT_EQ(manager.restore(0, args::StandardRestore(other_names())).get().tree(), Tree(others()));
  Dict target = others();
  target["b"] = Tree(Placeholder());
  Restored restored = manager.restore(0, args::StandardRestore(Tree(target))).get();
  EXPECT_EQ(restored.tree().at("big"), Tree(big_));
}

TEST_P(ForeignLeaf, OpenTreeHasAPlaceholderThatNoSaveTakes) {
  const Tree tree = open_tree(engine_, item()).get();
  EXPECT_TRUE(tree.at("b").as<LeafSpec>().is_placeholder());
  EXPECT_TRUE(tree.at("big").is<Leaf>());
  CheckpointManager manager = open();
  const Error error = error_of(manager.save(1, tree));
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().key_path, "b");
  EXPECT_TRUE(manager.save(1, Dict{{"big", tree.at("big")}}).get());
  EXPECT_EQ(manager.restore(1).get().tree(), Tree(Dict{{"big", Tree(big_)}}));
}

TEST_P(ForeignLeaf, IsListedWithWhatItsTypeIsCalled) {
  CheckpointManager manager = open();
  const ItemMetadata metadata = manager.item_metadata(0).get().at("default").value();
  const ItemInfo info = inspect_item(engine_, item()).get();
  for (const std::vector<LeafInfo>& leaves : {metadata.leaves, info.leaves}) {
    ASSERT_THAT(leaves, SizeIs(4));
    for (const LeafInfo& leaf : leaves) {
      EXPECT_EQ(leaf.kind == "foreign", leaf.key_path == "b") << leaf.kind;
      EXPECT_EQ(leaf.fault.has_value(), leaf.key_path == "b") << leaf.key_path;
      if (leaf.fault) expect_foreign(*leaf.fault);
    }
  }
  // The target that leaves it out.
  const Tree restored = manager.restore(0, args::StandardRestore(*metadata.tree)).get().tree();
  EXPECT_EQ(restored.at("a"), others()["a"]);
  EXPECT_TRUE(restored.at("b").as<LeafSpec>().is_placeholder());
}

}  // namespace
}  // namespace cairn
