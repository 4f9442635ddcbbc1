// Parts of items with very many leaves: read by way of the index of paths, they are what they are
// without it, and a damaged index costs nothing but time.

#include <cairn/codecs/path_index.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "support/files.h"
#include "support/manager_fixture.h"
#include "support/seed.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;
using args::Selection;
using ::testing::HasSubstr;

class PathIndexTest : public ManagerTest {
 protected:
  void SetUp() override { manager_.emplace(root(), options()); }

  /// Dictionaries, lists and tuples within each other, and every kind of leaf.
  static Tree large() {
    Dict layers;
    for (int i = 0; i < 360; ++i) {
      List heads;
      for (int h = 0; h < 3; ++h)
        heads.push_back(Dict{{"q", number(i, h)}, {"k", Tuple{number(i, h), 3}}, {"e", Dict()}});
      layers["layer_" + std::to_string(i)] =
          Dict{{"heads", std::move(heads)}, {"w", number(i, 9)}, {"n", i}, {"none", Null()}};
    }
    List steps;
    for (int i = 0; i < 40; ++i) steps.push_back(Tree(std::uint64_t(i)));
    return Dict{{"layers", std::move(layers)},
                {"layers.more", number(1, 1)},
                {"steps", std::move(steps)},
                {"empty", List()},
                {"opt", Tuple{Dict{{"mu", number(2, 2)}}, Null(), Tuple()}}};
  }
  static Array number(int a, int b) {
    Array array(DType::float32, {4});
    array.values<float>()[1] = static_cast<float>(a * 10 + b);
    return array;
  }

  [[nodiscard]] fs::path item(Step step = 0) const {
    return fs::path(root()) / std::to_string(step) / "default";
  }
  [[nodiscard]] fs::path index() const { return item() / kPathIndexFile; }
  [[nodiscard]] Tree restore(std::vector<Selection> selection) {
    args::StandardRestore how;
    how.selection = std::move(selection);
    return manager_->restore(0, std::move(how)).get().tree();
  }
  /// What a restore gives, or its error, with the order of all keys.
  [[nodiscard]] std::string told(const std::vector<Selection>& selection) {
    std::string text;
    try {
      const Tree tree = restore(selection);
      for (const FlatEntry& entry : flatten(tree)) {
        text += to_string(entry.path) + ' ';
        if (const auto view = view_of(*entry.node))
          text += std::to_string(reinterpret_cast<const float*>(view->data())[view->size() / 2]);
        text += entry.node->is<Tuple>() ? "()\n" : "\n";
      }
      text +=
          tree.is<Dict>() && tree.as<Dict>().find("opt") != nullptr && tree.at("opt").is<Tuple>()
              ? "tuple"
              : "";
    } catch (const Error& error) {
      text = error.what();
    }
    return text;
  }
  /// What is told with the index away.
  [[nodiscard]] std::string told_without(const std::vector<Selection>& selection) {
    const fs::path away = root() + "-index";
    fs::rename(index(), away);
    std::string text = told(selection);
    fs::rename(away, index());
    return text;
  }
  [[nodiscard]] VerifyReport verify() {
    return verify_step(manager_->engine(), (fs::path(root()) / "0").string()).get();
  }

  std::optional<CheckpointManager> manager_;
};
CAIRN_ON_EVERY_BACKEND(PathIndexTest);

TEST_P(PathIndexTest, AFewLeavesOfManyAreReadWithoutTheMetadata) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  const auto metadata_bytes = fs::file_size(item() / orbax::kTreeMetadataFile);
  ASSERT_GT(metadata_bytes, 1u << 20);
  const std::uint64_t before = manager_->engine()->stats().bytes_read;
  const Tree tree = restore({Selection("layers/layer_300/heads[1]/q")});
  EXPECT_LT(manager_->engine()->stats().bytes_read - before, metadata_bytes / 2);
  const Tree& heads = tree.at("layers").at("layer_300").at("heads");
  ASSERT_EQ(heads.as<List>().size(), 3u);
  EXPECT_TRUE(heads.as<List>()[0].is<Null>());
  EXPECT_EQ(heads.as<List>()[1], Tree(Dict{{"q", number(300, 1)}}));
}

TEST_P(PathIndexTest, WhatIsReadByItIsWhatIsReadWithoutIt) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  ASSERT_TRUE(fs::exists(index()));
  const std::vector<std::vector<Selection>> asked = {
      {Selection("layers/layer_0/w")},
      {Selection("layers/layer_10")},
      {Selection("layers.more")},
      {Selection("opt")},
      {Selection("opt[0]/mu"), Selection("steps[3]")},
      {Selection("opt[1]")},
      {Selection("empty")},
      {Selection("layers/layer_5/heads[2]/k[1]"), Selection("layers/layer_1/none")},
      {Selection("layers")},
      {Selection("")},
      {Selection("layers/layer_5"), Selection("layers/layer_5/w")},
      {Selection("layers/layer_1/w", IndexRange{{1}, {2}})},
      {Selection("layers/layer_1/w", IndexRange{{1}, {9}})},
      {Selection("layers/layer_1/w", IndexRange{{1}, {2}}),
       Selection("layers/layer_1/w", IndexRange{{2}, {2}})},
      {Selection("layers/layer_1", IndexRange{{1}, {2}})},
      {Selection("layers/layer_1/W")},
      {Selection("layers/layer_10000")},
      {Selection("layers/layer_1/w/x")},
      {Selection("steps[99]")},
      {Selection("steps[")},
      {Selection(KeyPath{Key("layers.more", Key::Kind::dict)})},
      {Selection(KeyPath{Key("layers", Key::Kind::dict), Key("more", Key::Kind::dict)})},
      {Selection(KeyPath{Key("steps", Key::Kind::dict), Key("7", Key::Kind::dict)})},
  };
  for (const std::vector<Selection>& selection : asked)
    EXPECT_EQ(told(selection), told_without(selection));
}

TEST_P(PathIndexTest, AnythingThatIsAskedForIsTheSameWithAndWithoutIt) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  std::mt19937_64 random(make_seed());
  const std::vector<FlatEntry> leaves = flatten(large());
  for (int round = 0; round < 10; ++round) {
    std::vector<Selection> selection;
    for (std::uint64_t i = 0; i <= random() % 4; ++i) {
      KeyPath path = leaves[random() % leaves.size()].path;
      const std::size_t keys = 1 + random() % path.size();
      path.erase(path.begin() + static_cast<std::ptrdiff_t>(keys), path.end());
      if (random() % 2 == 0)
        selection.emplace_back(std::move(path));
      else
        selection.emplace_back(to_string(path));
    }
    ASSERT_EQ(told(selection), told_without(selection)) << round;
  }
}

TEST_P(PathIndexTest, AListOfWhichOneElementIsWantedKeepsItsLength) {
  Dict tree{{"many", List()}};
  List list;
  for (int i = 0; i < 4500; ++i) list.push_back(Tree(i));
  tree["many"] = std::move(list);
  ASSERT_TRUE(manager_->save(0, std::move(tree)).get());
  ASSERT_TRUE(fs::exists(index()));
  const Tree one = restore({Selection("many[4000]")});
  ASSERT_EQ(one.at("many").as<List>().size(), 4500u);
  EXPECT_EQ(one.at("many").as<List>()[4000], Tree(4000));
}

TEST_P(PathIndexTest, ADamagedIndexCostsNoLeafAndIsReported) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  EXPECT_TRUE(verify().ok());
  const std::string whole = read_file(index());
  std::mt19937_64 random(make_seed());
  const std::string right = told({Selection("layers/layer_3")});
  for (int round = 0; round < 6; ++round) {
    std::string damaged = whole;
    const std::size_t at = round == 0 ? 0 : random() % whole.size();
    if (round % 3 == 2)
      damaged.resize(at);
    else
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
    std::ofstream(index(), std::ios::binary) << damaged;
    EXPECT_EQ(told({Selection("layers/layer_3")}), right) << at;
    const VerifyReport report = verify();
    ASSERT_EQ(report.damages.size(), 1u) << at;
    EXPECT_THAT(report.damages[0].message, HasSubstr("_CAIRN_INDEX"));
  }
}

TEST_P(PathIndexTest, AnIndexThatSaysSomethingElseThanTheMetadataIsReported) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  const std::string text = read_file(item() / orbax::kTreeMetadataFile);
  PathIndexWriter writer;
  IndexedLeaf leaf;
  leaf.path = {Key("elsewhere", Key::Kind::dict)};
  writer.add(leaf);
  std::ofstream(index(), std::ios::binary) << writer.finish(text);
  const VerifyReport report = verify();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_THAT(report.damages[0].message, HasSubstr("does not say what _METADATA says"));
}

TEST_P(PathIndexTest, AnIndexOfOtherMetadataDoesNotCount) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  const fs::path metadata = item() / orbax::kTreeMetadataFile;
  std::string text = read_file(metadata);
  // As a program would that calls a leaf another name.
  const auto at = text.find("layer_300");
  ASSERT_NE(at, std::string::npos);
  for (auto found = at; found != std::string::npos; found = text.find("layer_300", found + 1))
    text.replace(found, 9, "LAYER_300_");
  fs::remove(item() / kRecordFile);
  std::ofstream(metadata, std::ios::binary) << text;
  EXPECT_THAT(told({Selection("layers/layer_300/w")}), HasSubstr("nothing at this path"));
}

TEST_P(PathIndexTest, ItemsThatNeedNoneOrCannotHaveOneHaveNone) {
  ASSERT_TRUE(manager_->save(0, Dict{{"w", number(1, 2)}}).get());
  EXPECT_FALSE(fs::exists(index()));
  Dict slashed;
  for (int i = 0; i < 5000; ++i) slashed["module/part_" + std::to_string(i)] = Tree(i);
  ASSERT_TRUE(manager_->save(1, std::move(slashed)).get());
  EXPECT_FALSE(fs::exists(item(1) / kPathIndexFile));
  args::StandardRestore one;
  one.selection.emplace_back("module/part_77");
  EXPECT_EQ(manager_->restore(1, one).get().tree(), Tree(Dict{{"module/part_77", 77}}));
  args::StandardSave other(large());
  other.layout = Layout::ocdbt_zarr2;
  ASSERT_TRUE(manager_->save(2, std::move(other)).get());
  EXPECT_FALSE(fs::exists(item(2) / kPathIndexFile));
}

}  // namespace
}  // namespace cairn::test
