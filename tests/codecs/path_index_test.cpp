#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/path_index.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <support/seed.h>

#include <algorithm>
#include <random>
#include <stdexcept>

namespace cairn {
namespace {

using orbax::ValueType;
using ::testing::HasSubstr;

/// "a/b[3]"; a key of a tuple is written a(3).
IndexedLeaf leaf(std::string_view text, ValueType type = ValueType::np_ndarray,
                 std::uint64_t place = 0) {
  IndexedLeaf made;
  made.type = type;
  made.place = place;
  while (!text.empty()) {
    if (text.front() == '/') text.remove_prefix(1);
    const char first = text.front();
    const bool index = first == '[' || first == '(';
    if (index) text.remove_prefix(1);
    const std::size_t length = std::min(text.find_first_of(index ? "])" : "/[("), text.size());
    if (first == '(') made.in_tuples.push_back(made.path.size());
    made.path.emplace_back(std::string(text.substr(0, length)),
                           index ? Key::Kind::sequence : Key::Kind::dict);
    text.remove_prefix(std::min(text.size(), length + (index ? 1 : 0)));
  }
  return made;
}

std::vector<IndexedLeaf> sorted(std::vector<IndexedLeaf> leaves) {
  std::ranges::stable_sort(leaves, {}, [](const IndexedLeaf& one) { return index_key(one.path); });
  return leaves;
}

std::string index_of(const std::vector<IndexedLeaf>& leaves, std::string_view metadata = "{}") {
  PathIndexWriter writer;
  for (const IndexedLeaf& one : leaves) writer.add(one);
  return writer.finish(metadata);
}

std::vector<IndexedLeaf> leaves_in(const std::string& file) {
  const std::size_t end = path_index_root_end(file);
  const PathIndexRoot root =
      decode_path_index_root(std::string_view(file).substr(0, end), file.size());
  std::vector<IndexedLeaf> leaves;
  for (const PathIndexBlock& block : root.blocks) {
    const auto bytes = std::string_view(file).substr(block.offset, block.length);
    for (IndexedLeaf& one : decode_path_index_block(block, bytes)) leaves.push_back(std::move(one));
  }
  EXPECT_EQ(leaves.size(), root.leaves);
  return leaves;
}

TEST(PathIndex, LeavesComeBackInTheOrderOfTheirNames) {
  const std::vector<IndexedLeaf> leaves = sorted({
      leaf("opt(0)/mu", ValueType::np_ndarray, 3),
      leaf("opt(1)", ValueType::none, 2),
      leaf("layers[10]/w", ValueType::jax_array, 7),
      leaf("layers[2]/w", ValueType::np_ndarray, 4),
      leaf("layers[2](0)", ValueType::empty_tuple, 5),
      leaf("step", ValueType::scalar, 0),
      leaf("name", ValueType::string, 1u << 20),
      leaf("e[0]", ValueType::empty_dict),
      leaf("e[1]", ValueType::empty_list),
      leaf("e[2]", ValueType::empty_named_tuple),
  });
  EXPECT_EQ(leaves_in(index_of(leaves)), leaves);
}

TEST(PathIndex, AnIndexOfManyLeavesHasManyBlocksThatTheirFirstKeysFind) {
  std::mt19937_64 random(test::make_seed());
  std::vector<IndexedLeaf> leaves;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    leaves.push_back(leaf("block" + std::to_string(random() % 300) + "/part" +
                              std::to_string(random() % 7) + "[" + std::to_string(i) + "]",
                          ValueType::np_ndarray, i));
  }
  leaves = sorted(std::move(leaves));
  const std::string metadata(10'000, 'm');
  const std::string file = index_of(leaves, metadata);
  const PathIndexRoot root = decode_path_index_root(
      std::string_view(file).substr(0, path_index_root_end(file)), file.size());
  EXPECT_GT(root.blocks.size(), 10u);
  EXPECT_TRUE(std::ranges::is_sorted(root.blocks, {}, &PathIndexBlock::first));
  EXPECT_EQ(root.metadata_bytes, metadata.size());
  EXPECT_EQ(root.metadata_tail, hash_of(std::as_bytes(std::span(metadata).last(4096))));
  EXPECT_LT(file.size(), 20 * leaves.size()) << "keys that neighbours share are there once";
  EXPECT_EQ(leaves_in(file), leaves);
}

TEST(PathIndex, OneWithoutLeavesIsAHeaderAndARoot) {
  EXPECT_EQ(leaves_in(index_of({})), std::vector<IndexedLeaf>());
}

TEST(PathIndex, WhatIsAtOrBelowAPathLiesTogether) {
  std::vector<std::string> keys;
  for (const char* text : {"a", "a/b", "a/b[0]", "a!", "a-b", "a.b", "a0", "ab", "a[1]", "a/!"})
    keys.push_back(index_key(leaf(text).path));
  std::ranges::sort(keys);
  std::string places;
  for (const std::string& key : keys) places += key == "a/" || key.starts_with("a.") ? 'x' : '-';
  EXPECT_THAT(places, ::testing::MatchesRegex("-*x+-*")) << places;
}

TEST(PathIndex, ATextLeadsToTheNameOfThePathThatItIsOf) {
  for (const char* text : {"a", "a/b", "a/b[3]", "a/b[3]/c", "[0]", "[0][12]/x", "a]/b", "a.b/c"}) {
    const KeyPath path = leaf(text).path;
    ASSERT_EQ(to_string(path), text);
    EXPECT_EQ(name_of_text(text), dotted_name(path));
  }
}

TEST(PathIndex, KeysThatATextCouldBeMistakenForAreNotIndexed) {
  EXPECT_TRUE(is_indexable(leaf("a/b[3]").path));
  for (const char* name : {"a/b", "a[0]", ""}) {
    IndexedLeaf one = leaf("x");
    one.path.emplace_back(name, Key::Kind::dict);
    EXPECT_FALSE(is_indexable(one.path)) << name;
    PathIndexWriter writer;
    EXPECT_THROW(writer.add(one), std::invalid_argument);
  }
  EXPECT_FALSE(is_indexable({Key(std::string(kPathIndexPathBytesMax, 'k'), Key::Kind::dict)}));
}

TEST(PathIndex, LeavesOutOfOrderAndForeignOnesAreRefused) {
  PathIndexWriter writer;
  writer.add(leaf("b"));
  EXPECT_THROW(writer.add(leaf("a")), std::invalid_argument);
  EXPECT_THROW(writer.add(leaf("c", ValueType::foreign)), std::invalid_argument);
}

TEST(PathIndex, PathsThatAreLongTogetherAreSpreadOverBlocks) {
  std::vector<IndexedLeaf> leaves;
  const std::string deep(kPathIndexPathBytesMax / 2, 'd');
  for (int i = 0; i < 100; ++i)
    leaves.push_back(leaf(deep + "/" + std::to_string(100 + i), ValueType::scalar));
  const std::string file = index_of(leaves);
  EXPECT_LT(file.size(), 10 * deep.size());
  EXPECT_EQ(leaves_in(file), leaves);
}

TEST(PathIndex, NoChangedOrMissingByteGoesUnnoticed) {
  std::vector<IndexedLeaf> leaves;
  for (int i = 0; i < 40; ++i) leaves.push_back(leaf("layer/" + std::to_string(100 + i)));
  const std::string file = index_of(leaves);
  for (std::size_t at = 0; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_THROW(static_cast<void>(leaves_in(damaged)), FormatError) << at;
    EXPECT_THROW(static_cast<void>(leaves_in(file.substr(0, at))), FormatError) << at;
  }
  EXPECT_THROW(static_cast<void>(leaves_in(file + '\0')), FormatError);
}

TEST(PathIndex, AVersionOfTheFutureIsNotTakenForDamage) {
  std::string header = index_of({leaf("a")}).substr(0, kPathIndexHeaderBytes);
  header[8] = 2;
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(header).first(20)));
  header.replace(20, 4, reinterpret_cast<const char*>(&crc), 4);
  try {
    static_cast<void>(path_index_root_end(header));
    ADD_FAILURE() << "it was read";
  } catch (const FormatError& error) {
    EXPECT_EQ(error.kind(), FormatError::Kind::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("newer version"));
  }
}

}  // namespace
}  // namespace cairn
