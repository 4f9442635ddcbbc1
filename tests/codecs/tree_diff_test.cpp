#include <cairn/codecs/format_error.h>
#include <cairn/codecs/tree_diff.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace cairn {
namespace {

using orbax::ValueType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "a/0/b": numbers are indices.
KeyPath path(const std::string& text) {
  KeyPath keys;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t slash = std::min(text.find('/', at), text.size());
    const std::string name = text.substr(at, slash - at);
    const bool index = name.find_first_not_of("0123456789") == name.npos;
    keys.emplace_back(name, index ? Key::Kind::sequence : Key::Kind::dict);
    at = slash + 1;
  }
  return keys;
}

SavedLeaf array(const std::string& text, DType dtype, Shape shape) {
  return {path(text), ValueType::np_ndarray, dtype, std::move(shape)};
}

SavedLeaf other(const std::string& text, ValueType type) {
  return {path(text), type};
}

Tree zeros(DType dtype, Shape shape) {
  return Array(dtype, std::move(shape));
}

std::vector<std::string> texts(const std::vector<KeyPath>& paths) {
  std::vector<std::string> result;
  for (const KeyPath& p : paths) result.push_back(to_string(p));
  return result;
}

bool fits(const SavedLeaf& saved, const Tree& target, ShapeRule rule = ShapeRule::equal) {
  return diff_trees({saved}, target, rule).empty();
}

TEST(TreeDiff, OfEqualTreesIsEmpty) {
  const std::vector<SavedLeaf> saved{array("w", DType::float32, {2, 3}),
                                     array("layers/0/b", DType::bfloat16, {4}),
                                     {path("step"), ValueType::scalar, DType::int64, Shape()},
                                     other("name", ValueType::string),
                                     other("none", ValueType::none),
                                     other("empty", ValueType::empty_dict),
                                     other("list", ValueType::empty_list)};
  const Tree target = Dict{{"layers", List{Dict{{"b", zeros(DType::bfloat16, {4})}}}},
                           {"list", List()},
                           {"empty", Dict()},
                           {"none", Null()},
                           {"name", "x"},
                           {"step", 7},
                           {"w", zeros(DType::float32, {2, 3})}};
  const TreeDiff diff = diff_trees(saved, target);
  EXPECT_TRUE(diff.empty());
  EXPECT_EQ(to_string(diff), "");
}

TEST(TreeDiff, NamesWhatOnlyOneTreeHas) {
  const std::vector<SavedLeaf> saved{array("a", DType::int8, {1}), array("b/x", DType::int8, {1}),
                                     array("b/y", DType::int8, {1}), array("c/0", DType::int8, {1}),
                                     array("c/1", DType::int8, {1})};
  const Tree target = Dict{{"d", Dict{{"p", 1}, {"q", List{2, Dict()}}}},
                           {"b", Dict{{"z", 1}, {"y", LeafSpec()}}},
                           {"c", List{LeafSpec()}}};
  const TreeDiff diff = diff_trees(saved, target);
  EXPECT_THAT(texts(diff.missing), ElementsAre("d/p", "d/q[0]", "d/q[1]", "b/z"));
  EXPECT_THAT(texts(diff.extra), ElementsAre("b/x", "c[1]", "a"));
  EXPECT_THAT(diff.mismatched, IsEmpty());
}

TEST(TreeDiff, NamesWhatDiffersAndLooksNoFurtherThere) {
  const std::vector<SavedLeaf> saved{
      array("shape", DType::float32, {2, 3}), array("dict/x", DType::int8, {1}),
      array("list/0", DType::int8, {1}),      array("leaf", DType::int8, {}),
      other("text", ValueType::string),       array("int4", DType::int4, {2})};
  const Tree target = Dict{{"shape", zeros(DType::float32, {3, 2})},
                           {"dict", List{1, 2}},
                           {"list", 1.5},
                           {"leaf", Dict{{"x", 1}}},
                           {"text", LeafSpec(DType::int8)},
                           {"int4", zeros(DType::int2, {2})}};
  const TreeDiff diff = diff_trees(saved, target);
  EXPECT_THAT(diff.missing, IsEmpty());
  EXPECT_THAT(diff.extra, IsEmpty());
  using Mismatch = TreeDiff::Mismatch;
  EXPECT_THAT(diff.mismatched,
              ElementsAre(Mismatch(path("shape"), "float32[2, 3]", "float32[3, 2]"),
                          Mismatch(path("dict"), "a dict of 1", "a list of 2"),
                          Mismatch(path("list"), "a list of 1", "float64[]"),
                          Mismatch(path("leaf"), "int8[]", "a dict of 1"),
                          Mismatch(path("text"), "a string", "int8, any shape"),
                          Mismatch(path("int4"), "int4[2]", "int2[2]")));
}

TEST(TreeDiff, CastsWhereTypesDiffer) {
  const SavedLeaf saved = array("", DType::float32, {2});
  EXPECT_TRUE(fits(saved, zeros(DType::bfloat16, {2})));
  EXPECT_TRUE(fits(saved, LeafSpec(DType::int8)));
  EXPECT_TRUE(fits(saved, Leaf(DType::int8, {2}, std::vector<LeafPart>())));
  const float values[2] = {};
  EXPECT_TRUE(fits(saved, ArrayView(DType::float32, {2}, values)));
}

TEST(TreeDiff, ANumberIsAnArrayOfRankZero) {
  for (const Tree& number : {Tree(1), Tree(1u), Tree(1.5), Tree(true)}) {
    EXPECT_TRUE(fits(array("", DType::float32, {}), number));
    EXPECT_FALSE(fits(array("", DType::float32, {1}), number));
  }
  const SavedLeaf number(KeyPath(), ValueType::scalar, DType::int64, Shape());
  EXPECT_TRUE(fits(number, zeros(DType::int64, {})));
  EXPECT_FALSE(fits(number, zeros(DType::int64, {1})));
}

TEST(TreeDiff, SpecsAskForNoMoreThanTheySay) {
  const SavedLeaf saved = array("", DType::float32, {2, 3});
  EXPECT_TRUE(fits(saved, LeafSpec()));
  EXPECT_TRUE(fits(saved, LeafSpec(std::nullopt, Shape{2, 3})));
  EXPECT_FALSE(fits(saved, LeafSpec(std::nullopt, Shape{2})));
  EXPECT_FALSE(fits(saved, LeafSpec(DType::float32, {3, 2})));
  EXPECT_TRUE(fits(other("", ValueType::string), LeafSpec()));
  EXPECT_FALSE(fits(other("", ValueType::string), LeafSpec(DType::int8)));
  EXPECT_FALSE(fits(other("", ValueType::none), LeafSpec()));
  EXPECT_FALSE(fits(other("", ValueType::empty_dict), LeafSpec()));
  // What it holds is not asked for here, and told where it is read.
  EXPECT_TRUE(fits(other("", ValueType::foreign), LeafSpec()));
  EXPECT_FALSE(fits(other("", ValueType::foreign), LeafSpec(DType::int8)));
  EXPECT_FALSE(fits(other("", ValueType::foreign), Dict()));
  EXPECT_FALSE(fits(array("a", DType::int8, {}), LeafSpec()));
}

TEST(TreeDiff, PlaceholdersFitAnythingAndNothing) {
  const std::vector<SavedLeaf> saved{array("opt/m", DType::int8, {1}),
                                     array("w", DType::int8, {1})};
  const Tree target = Dict{{"opt", Placeholder()},
                           {"w", Placeholder()},
                           {"new", Placeholder()},
                           {"more", List{Placeholder()}}};
  EXPECT_TRUE(diff_trees(saved, target).empty());
}

TEST(TreeDiff, ComparesRanksAloneWhereArraysAreCutOrPadded) {
  const SavedLeaf saved = array("", DType::float32, {2, 3});
  EXPECT_TRUE(fits(saved, zeros(DType::float32, {4, 1}), ShapeRule::same_rank));
  EXPECT_FALSE(fits(saved, zeros(DType::float32, {6}), ShapeRule::same_rank));
}

TEST(TreeDiff, EmptyContainersAreContainers) {
  EXPECT_THAT(
      texts(diff_trees({other("a", ValueType::empty_dict)}, Dict{{"a", Dict{{"x", 1}}}}).missing),
      ElementsAre("a/x"));
  EXPECT_THAT(texts(diff_trees({array("a/x", DType::int8, {})}, Dict{{"a", Dict()}}).extra),
              ElementsAre("a/x"));
  EXPECT_TRUE(fits(other("", ValueType::empty_tuple), List()));
  EXPECT_TRUE(fits(other("", ValueType::empty_named_tuple), Dict()));
  EXPECT_TRUE(fits(other("", ValueType::empty_named_tuple), Tuple()));
  EXPECT_FALSE(fits(other("", ValueType::empty_list), Dict()));
  EXPECT_FALSE(fits(other("", ValueType::empty_dict), Null()));
  EXPECT_TRUE(diff_trees({}, Dict()).empty());
  EXPECT_THAT(texts(diff_trees({}, Dict{{"a", 1}}).missing), ElementsAre("a"));
}

TEST(TreeDiff, RefusesWhatIsNoTree) {
  EXPECT_THROW(
      (void)diff_trees({array("a", DType::int8, {}), array("a/b", DType::int8, {})}, Dict()),
      FormatError);
  EXPECT_THROW((void)diff_trees({array("a/1", DType::int8, {})}, Dict()), FormatError);
  Tree deep = 1;
  for (std::size_t i = 0; i <= kMaxTreeDepth; ++i) deep = List{std::move(deep)};
  EXPECT_THROW((void)diff_trees({}, Dict{{"a", std::move(deep)}}), std::invalid_argument);
}

TEST(TreeDiff, ReadsAsListsThatAreCutOff) {
  TreeDiff diff;
  for (int i = 0; i < 12; ++i) diff.missing.push_back(path("m" + std::to_string(i) + "x"));
  diff.extra.push_back(KeyPath{Key("e\n", Key::Kind::dict)});
  diff.mismatched.emplace_back(path("w/0"), "int8[2]", "int8[3]");
  EXPECT_EQ(to_string(diff, 2),
            "12 key paths of the target are not saved:\n"
            "  m0x\n"
            "  m1x\n"
            "  ... and 10 more\n"
            "1 saved key path is not in the target:\n"
            "  e\\x0a\n"
            "1 key path differs:\n"
            "  w[0]: saved int8[2], target int8[3]");
  EXPECT_THAT(to_string(diff), HasSubstr("... and 2 more"));
  EXPECT_EQ(kDiffLinesMax, 10u);
}

}  // namespace
}  // namespace cairn
