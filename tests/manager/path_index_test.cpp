// Parts of items with very many leaves: read by way of the index of paths, they are what they are
// without it, and a damaged index costs nothing but time.

#include <cairn/codecs/path_index.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "support/files.h"
#include "support/manager_fixture.h"
#include "support/sanitized.h"
#include "support/seed.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;
using args::Selection;
using ::testing::HasSubstr;

class PathIndexTest : public ManagerTest {
 protected:
  void SetUp() override { manager_.emplace(root(), options()); }

  /// Dictionaries, lists and tuples within each other, and every kind of leaf but strings.
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
  static std::string to_text(const std::vector<Selection>& selection) {
    std::string text;
    for (const Selection& one : selection) {
      const auto* keys = std::get_if<KeyPath>(&one.path);
      text += (keys ? to_string(*keys) : std::get<std::string>(one.path)) + "; ";
    }
    return text;
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
  /// What a restore gives.
  struct Told {
    Tree tree;
    std::vector<std::string> paths;  ///< in order, which trees are compared without
    std::string error;
    friend bool operator==(const Told&, const Told&) = default;
  };
  [[nodiscard]] Told told(const std::vector<Selection>& selection) {
    Told told;
    try {
      told.tree = restore(selection);
      for (const FlatEntry& entry : flatten(told.tree)) told.paths.push_back(to_string(entry.path));
    } catch (const Error& error) {
      told.error = error.what();
    }
    return told;
  }
  /// The same with the index away.
  [[nodiscard]] Told told_without(const std::vector<Selection>& selection) {
    const fs::path away = root() + "-index";
    fs::rename(index(), away);
    Told without = told(selection);
    fs::rename(away, index());
    return without;
  }
  /// Of those that are tried here, with sanitizers others than on the other backend.
  [[nodiscard]] static std::size_t first_case() {
    return GetParam() == engine::BackendKind::uring ? 0 : test::kOneCaseIn / 2;
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
  for (std::size_t i = first_case(); i < asked.size(); i += test::kOneCaseIn)
    EXPECT_TRUE(told(asked[i]) == told_without(asked[i])) << to_text(asked[i]);
}

TEST_P(PathIndexTest, AnythingThatIsAskedForIsTheSameWithAndWithoutIt) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  std::mt19937_64 random(make_seed());
  const std::vector<FlatEntry> leaves = flatten(large());
  for (unsigned round = 0; round < 10; round += test::kOneCaseIn) {
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
    ASSERT_TRUE(told(selection) == told_without(selection)) << to_text(selection);
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
  const Told right = told({Selection("layers/layer_3")});
  // Cut short, with sanitizers, on the other backend.
  for (std::size_t round = first_case() / 2; round < 6; round += test::kOneCaseIn) {
    std::string damaged = whole;
    const std::size_t at = round == 0 ? 0 : random() % whole.size();
    if (round % 3 == 2)
      damaged.resize(at);
    else
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
    std::ofstream(index(), std::ios::binary) << damaged;
    EXPECT_TRUE(told({Selection("layers/layer_3")}) == right) << at;
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

TEST_P(PathIndexTest, AnIndexThatIsNotOfAllTheMetadataOrTwiceOfSomeIsReported) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  const std::string text = read_file(item() / orbax::kTreeMetadataFile);
  const std::string whole = read_file(index());
  const PathIndexRoot root = decode_path_index_root(
      std::string_view(whole).substr(0, path_index_root_end(whole)), whole.size());
  std::vector<IndexedLeaf> leaves;
  for (const PathIndexBlock& block : root.blocks) {
    for (IndexedLeaf& leaf :
         decode_path_index_block(block, std::string_view(whole).substr(block.offset, block.length)))
      leaves.push_back(std::move(leaf));
  }
  const auto expect_reported = [&](std::vector<IndexedLeaf> changed) {
    PathIndexWriter writer;
    for (const IndexedLeaf& leaf : changed) writer.add(leaf);
    std::ofstream(index(), std::ios::binary) << writer.finish(text);
    EXPECT_EQ(verify().damages.size(), 1u);
  };
  std::vector<IndexedLeaf> twice = leaves;
  twice[100] = twice[99];
  expect_reported(std::move(twice));
  std::vector<IndexedLeaf> less = leaves;
  less.pop_back();
  expect_reported(std::move(less));
  std::vector<IndexedLeaf> lists = leaves;
  for (IndexedLeaf& leaf : lists) leaf.in_tuples.clear();
  expect_reported(std::move(lists));
  PathIndexWriter right;
  for (const IndexedLeaf& leaf : leaves) right.add(leaf);
  EXPECT_EQ(right.finish(text), whole);
}

TEST_P(PathIndexTest, AnIndexOfOtherMetadataDoesNotCount) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  // Somebody writes another key of the same length, at the file's end, and leaves our record.
  const fs::path metadata = item() / orbax::kTreeMetadataFile;
  std::string text = read_file(metadata);
  const auto at = text.find("'opt'");
  ASSERT_GT(at, text.size() - kPathIndexTailBytes);
  text[at + 1] = 'O';
  std::ofstream(metadata, std::ios::binary) << text;
  EXPECT_THAT(told({Selection("layers/layer_300/w")}).error, HasSubstr("was committed with"));
}

TEST_P(PathIndexTest, WhoRemovesOurRecordIsReadWithoutTheIndex) {
  ASSERT_TRUE(manager_->save(0, large()).get());
  fs::remove(item() / kRecordFile);
  EXPECT_TRUE(restore({Selection("opt")}).at("opt").is<List>()) << "no tuple is known any more";
}

TEST_P(PathIndexTest, StringsAreCheckedAllTheSame) {
  Dict tree = large().as<Dict>();
  tree["name"] = Tree("a model of many parts");
  ASSERT_TRUE(manager_->save(0, args::PyTreeSave(std::move(tree))).get());
  ASSERT_TRUE(fs::exists(index()));
  EXPECT_EQ(restore({Selection("name")}), Tree(Dict{{"name", "a model of many parts"}}));
  const fs::path strings = item() / orbax::kStringsFile;
  std::string text = read_file(strings);
  text[text.find("many")] = 'M';
  std::ofstream(strings, std::ios::binary) << text;
  EXPECT_THAT(told({Selection("name")}).error, HasSubstr("was committed with"));
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
