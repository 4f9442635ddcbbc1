#include <cairn/codecs/format_error.h>
#include <cairn/codecs/tree.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "support/sanitized.h"

namespace cairn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Array floats(std::initializer_list<float> values) {
  return Array::from(std::span<const float>(values.begin(), values.size()),
                     {static_cast<Index>(values.size())});
}

KeyPath path(std::initializer_list<std::string> keys) {
  KeyPath result;
  for (const std::string& key : keys) {
    const bool index = !key.empty() && key.find_first_not_of("0123456789") == std::string::npos;
    result.emplace_back(key, index ? Key::Kind::sequence : Key::Kind::dict);
  }
  return result;
}

std::vector<std::string> paths_of(const Tree& tree) {
  std::vector<std::string> paths;
  for (const FlatEntry& entry : flatten(tree)) paths.push_back(to_string(entry.path));
  return paths;
}

// A tree of nothing but lists, one within another.
Tree nested_lists(std::size_t depth) {
  Tree tree;
  for (std::size_t i = 0; i < depth; ++i) {
    List outer;
    outer.push_back(std::move(tree));
    tree = std::move(outer);
  }
  return tree;
}

static_assert(!std::constructible_from<Tree, char>);
static_assert(!std::constructible_from<Tree, wchar_t>);
static_assert(!std::constructible_from<Tree, char8_t>);
static_assert(!std::constructible_from<Tree, void*>);
static_assert(!std::constructible_from<Tree, std::nullptr_t>);
static_assert(!std::constructible_from<Tree, long double>);
static_assert(std::is_nothrow_move_constructible_v<Tree>);
static_assert(std::is_nothrow_move_assignable_v<Tree>);

TEST(Tree, TakesTheKindOfWhatItIsMadeFrom) {
  EXPECT_TRUE(Tree().is<Null>());
  EXPECT_TRUE(Tree(true).is<bool>());
  EXPECT_TRUE(Tree(1).is<std::int64_t>());
  EXPECT_TRUE(Tree(-1LL).is<std::int64_t>());
  EXPECT_TRUE(Tree(std::int8_t{1}).is<std::int64_t>());
  EXPECT_TRUE(Tree(1u).is<std::uint64_t>());
  EXPECT_TRUE(Tree(std::size_t{1}).is<std::uint64_t>());
  EXPECT_TRUE(Tree(1.0f).is<double>());
  EXPECT_TRUE(Tree("text").is<std::string>());
  EXPECT_TRUE(Tree(std::string_view("text")).is<std::string>());
  EXPECT_TRUE(Tree(floats({1})).is<Array>());
  EXPECT_TRUE(Tree(Dict()).is<Dict>());
  EXPECT_TRUE(Tree(List()).is<List>());
  EXPECT_TRUE(Tree(Tuple()).is<Tuple>());
}

TEST(Tree, NamesItsKind) {
  EXPECT_EQ(Tree().kind(), "null");
  EXPECT_EQ(Tree(true).kind(), "bool");
  EXPECT_EQ(Tree(1).kind(), "int");
  EXPECT_EQ(Tree(1u).kind(), "uint");
  EXPECT_EQ(Tree(1.5).kind(), "float");
  EXPECT_EQ(Tree("").kind(), "string");
  EXPECT_EQ(Tree(Array()).kind(), "array");
  EXPECT_EQ(Tree(Dict()).kind(), "dict");
  EXPECT_EQ(Tree(List()).kind(), "list");
  EXPECT_EQ(Tree(Tuple()).kind(), "tuple");
  const Array array;
  EXPECT_EQ(Tree(ArrayView(array)).kind(), "view");
  EXPECT_EQ(Tree(Leaf(DType::int8, {0}, std::vector<LeafPart>())).kind(), "leaf");
  EXPECT_EQ(Tree(LeafSpec()).kind(), "spec");
}

TEST(Tree, ErrorOfAsNamesBothKinds) {
  EXPECT_THAT([] { (void)Tree(1).as<std::string>(); },
              ThrowsMessage<std::invalid_argument>("tree node is a int, not a string"));
  EXPECT_THAT([] { (void)Tree(1).at("a"); },
              ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("int"), HasSubstr("dict"))));
  EXPECT_THAT([] { (void)Tree(Dict()).at(std::size_t{0}); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("not a list or tuple")));
  EXPECT_THAT([] { (void)Tree(List{1}).at(1); },
              ThrowsMessage<std::out_of_range>("index 1 of a list with 1 elements"));
}

TEST(Tree, GivesChildrenByKeyAndIndex) {
  Tree tree = Dict{{"a", List{1, Tuple{2, "x"}}}};
  EXPECT_EQ(tree.at("a").at(1).at(0).as<std::int64_t>(), 2);
  tree.at("a").at(0) = 7;
  EXPECT_EQ(tree, Tree(Dict{{"a", List{7, Tuple{2, "x"}}}}));
}

TEST(Tree, ATemporaryGivesItsChildrenAndValuesAway) {
  const auto make = [](const Array& array) { return Tree(Dict{{"a", List{array}}}); };
  const Array array = Array::scalar(3);
  const Tree& child = make(array).at("a").at(0);
  const Array& value = make(array).at("a").at(0).as<Array>();
  EXPECT_EQ(child, Tree(array));
  EXPECT_EQ(value, array);
  std::size_t seen = 0;
  for (const Tree& element : make(array).at("a").as<List>()) seen += element == Tree(array);
  EXPECT_EQ(seen, 1u);
  Tree tree = make(array);
  const std::byte* bytes = tree.at("a").at(0).as<Array>().bytes().data();
  const Array moved = std::move(tree).at("a").at(0).as<Array>();
  EXPECT_EQ(moved.bytes().data(), bytes) << "it was copied";
  EXPECT_THROW(static_cast<void>(make(array).at("b")), std::out_of_range);
  static_assert(std::is_same_v<decltype(std::as_const(tree).as<Dict>()), const Dict&>);
  static_assert(std::is_same_v<decltype(tree.as<Dict>()), Dict&>);
}

TEST(Tree, BracedTreesMoveTheirArrays) {
  Array array = floats({1, 2, 3});
  const std::byte* data = array.bytes().data();
  const Tree tree = Dict{{"a", List{Tuple{std::move(array)}}}};
  EXPECT_EQ(tree.at("a").at(0).at(0).as<Array>().bytes().data(), data);
}

TEST(Tree, AnArrayEqualsAViewOfTheSameElements) {
  const Array dense = floats({1, 2, 3});
  const float spread[] = {1, 9, 2, 9, 3};
  const ArrayView view(DType::float32, {3}, spread, {8});
  EXPECT_EQ(Tree(dense), Tree(view));
  EXPECT_EQ(Tree(view), Tree(dense));
  EXPECT_NE(Tree(floats({1, 2, 4})), Tree(view));
  EXPECT_NE(Tree(ArrayView(DType::int32, {3}, spread, {8})), Tree(view));
}

TEST(Tree, NumbersOfDifferentKindsDiffer) {
  EXPECT_NE(Tree(1), Tree(1u));
  EXPECT_NE(Tree(1), Tree(1.0));
  EXPECT_NE(Tree(1), Tree(true));
  EXPECT_NE(Tree(List{1}), Tree(Tuple{1}));
}

TEST(Tree, NanEqualsNan) {
  EXPECT_EQ(Tree(std::nan("")), Tree(-std::nan("1")));
  EXPECT_NE(Tree(std::nan("")), Tree(0.0));
}

TEST(Tree, LeavesCompareByTheirParts) {
  const Array a = floats({1, 2});
  const Array b = floats({1, 2});
  const auto leaf = [](const Array& array) {
    return Leaf(DType::float32, {2}, {LeafPart({{0}, {2}}, ArrayView(array))});
  };
  EXPECT_EQ(Tree(leaf(a)), Tree(leaf(b)));
  EXPECT_NE(Tree(leaf(a)), Tree(leaf(floats({1, 3}))));
}

TEST(Tree, OfAnyDepthCanBeDestroyedAndReplaced) {
  // Recursion would need far more than any stack, and a sanitizer's frames are larger.
  constexpr std::size_t kDeep = test::kSanitized ? 200'000 : 1'000'000;
  Tree tree = nested_lists(kDeep);
  tree = nested_lists(kDeep);
  Dict dict;
  dict["x"] = std::move(tree);
  EXPECT_EQ(dict.size(), 1u);
}

TEST(Dict, KeepsTheOrderOfItsKeys) {
  Dict dict{{"z", 1}, {"a", 2}};
  dict["m"] = 3;
  dict["z"] = 4;
  std::vector<std::string> keys;
  for (const auto& [key, value] : dict) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("z", "a", "m"));
  EXPECT_EQ(dict.at("z"), Tree(4));
}

TEST(Dict, FindsEveryKeyWhenLarge) {
  Dict dict;
  constexpr int kCount = 10'000;
  for (int i = 0; i < kCount; ++i) dict["key" + std::to_string(i)] = i;
  EXPECT_EQ(dict.size(), static_cast<std::size_t>(kCount));
  for (int i = 0; i < kCount; ++i) ASSERT_EQ(dict.at("key" + std::to_string(i)), Tree(i));
  EXPECT_EQ(dict.find("key10000"), nullptr);
}

TEST(Dict, ErasesAndForgetsAKeySmallOrLarge) {
  for (const int count : {3, 17, 200}) {
    Dict dict;
    for (int i = 0; i < count; ++i) dict[std::to_string(i)] = i;
    EXPECT_TRUE(dict.erase("1"));
    EXPECT_FALSE(dict.erase("1"));
    EXPECT_EQ(dict.find("1"), nullptr);
    for (int i = 2; i < count; ++i) ASSERT_EQ(dict.at(std::to_string(i)), Tree(i));
  }
}

TEST(Dict, ErrorOfAtNamesTheKeyAndAtMostTenOthers) {
  const auto missing = [](int count) {
    Dict dict;
    for (int i = 0; i < count; ++i) dict["k" + std::to_string(i)] = i;
    (void)dict.at("absent");
  };
  EXPECT_THAT([&] { missing(2); },
              ThrowsMessage<std::out_of_range>("no key \"absent\" in a dict of 2: \"k0\", \"k1\""));
  EXPECT_THAT([&] { missing(12); }, ThrowsMessage<std::out_of_range>(AllOf(
                                        HasSubstr("\"k9\", ..."), Not(HasSubstr("\"k10\"")))));
}

TEST(Dict, EqualityIgnoresTheOrderOfKeys) {
  EXPECT_EQ((Dict{{"a", 1}, {"b", 2}}), (Dict{{"b", 2}, {"a", 1}}));
  EXPECT_NE((Dict{{"a", 1}, {"b", 2}}), (Dict{{"a", 1}, {"c", 2}}));
  EXPECT_NE((Dict{{"a", 1}}), (Dict{{"a", 1}, {"b", 2}}));
  EXPECT_EQ(Dict(), Dict({}));
}

TEST(Dict, IsEmptyAfterItWasMovedFrom) {
  Dict dict{{"a", 1}};
  const Dict other = std::move(dict);
  EXPECT_EQ(other.size(), 1u);
  EXPECT_TRUE(dict.empty());  // NOLINT(bugprone-use-after-move): the promise under test
  dict["b"] = 2;
  EXPECT_EQ(dict.at("b"), Tree(2));
}

TEST(Tree, CanBeAssignedFromItsOwnChild) {
  Tree dict = Dict{{"n", 3}};
  dict = dict.at("n");
  EXPECT_EQ(dict, Tree(3));
  Tree list = List{List{1, 2}, 5};
  list = list.at(0);
  EXPECT_EQ(list, Tree(List{1, 2}));
  Tree moved = Dict{{"a", List{1, 2}}};
  moved = std::move(moved.at("a"));
  EXPECT_EQ(moved, Tree(List{1, 2}));
}

TEST(Flatten, GoesDepthFirstInTheTreesOrder) {
  const Tree tree =
      Dict{{"b", List{1, Dict{{"x", 2}}}}, {"a", Dict()}, {"n", Null()}, {"t", Tuple{3}}};
  EXPECT_THAT(paths_of(tree), ElementsAre("b[0]", "b[1]/x", "a", "n", "t[0]"));
}

TEST(Flatten, OfABareLeafGivesTheEmptyPath) {
  const Tree leaf = 3;
  const auto entries = flatten(leaf);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_TRUE(entries[0].path.empty());
  EXPECT_EQ(entries[0].node, &leaf);
  EXPECT_EQ(dotted_name(entries[0].path), "");
  EXPECT_EQ(to_string(entries[0].path), "(root)");
}

TEST(Path, NamesAnEmptyKeyForPeople) {
  EXPECT_EQ(to_string(path({""})), "\"\"");
  EXPECT_EQ(to_string(path({"", "b"})), "\"\"/b");
  EXPECT_EQ(to_string(path({"a", "", "3"})), "a/\"\"[3]");
}

TEST(Flatten, RefusesATreeThatIsTooDeep) {
  EXPECT_EQ(flatten(nested_lists(kMaxTreeDepth)).size(), 1u);
  EXPECT_THAT([] { (void)flatten(nested_lists(kMaxTreeDepth + 1)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("nested more than 512 deep")));
}

TEST(Unflatten, UndoesFlatten) {
  const Tree tree = Dict{{"b", List{1, Dict{{"x", 2.5}}, List{"s"}}},
                         {"a", Dict()},
                         {"n", Null()},
                         {"w", floats({1, 2})}};
  std::vector<std::pair<KeyPath, Tree>> entries;
  for (const FlatEntry& entry : flatten(tree)) entries.emplace_back(entry.path, *entry.node);
  const Tree back = unflatten(std::move(entries));
  EXPECT_EQ(back, tree);
  EXPECT_THAT(paths_of(back), ElementsAre("b[0]", "b[1]/x", "b[2][0]", "a", "n", "w"));
}

TEST(Unflatten, PutsSequenceElementsInOrderWhateverTheirOwn) {
  std::vector<std::pair<KeyPath, Tree>> entries;
  for (const int i : {10, 3, 0, 9, 1, 2, 4, 8, 5, 7, 6}) {
    entries.emplace_back(path({"l", std::to_string(i)}), i);
  }
  const Tree tree = unflatten(std::move(entries));
  for (std::size_t i = 0; i <= 10; ++i) EXPECT_EQ(tree.at("l").at(i), Tree(static_cast<int>(i)));
}

TEST(Unflatten, GivesALeafForTheEmptyPathAndADictForNothing) {
  std::vector<std::pair<KeyPath, Tree>> entries;
  EXPECT_EQ(unflatten(entries), Tree(Dict()));
  entries.emplace_back(KeyPath(), 5);
  EXPECT_EQ(unflatten(entries), Tree(5));
}

struct BadPaths {
  std::string name;
  std::vector<KeyPath> paths;
  std::vector<std::string> words;  // that the error must have
};
class UnflattenRefuses : public ::testing::TestWithParam<BadPaths> {};

TEST_P(UnflattenRefuses, WithAnErrorThatNamesTheEntry) {
  std::vector<std::pair<KeyPath, Tree>> entries;
  for (const KeyPath& p : GetParam().paths) entries.emplace_back(p, 1);
  try {
    (void)unflatten(std::move(entries));
    FAIL() << "accepted";
  } catch (const FormatError& error) {
    for (const std::string& word : GetParam().words) EXPECT_THAT(error.what(), HasSubstr(word));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Paths, UnflattenRefuses,
    ::testing::Values(
        BadPaths{"Duplicate", {path({"a", "b"}), path({"a", "b"})}, {"entry a/b", "twice"}},
        BadPaths{"Prefix", {path({"a"}), path({"a", "b"})}, {"entry a/b", "through the leaf a"}},
        BadPaths{"PrefixLater", {path({"a", "b"}), path({"a"})}, {"entry a", "other paths"}},
        BadPaths{"RootAndChild", {KeyPath(), path({"a"})}, {"entry a", "(root)"}},
        BadPaths{"Gap", {path({"l", "0"}), path({"l", "2"})}, {"sequence l", "\"2\" among 2"}},
        BadPaths{"LeadingZero", {path({"l", "0"}), path({"l", "01"})}, {"\"01\" among 2"}},
        BadPaths{"BothKinds", {path({"m", "0"}), path({"m", "x"})}, {"entry m/x", "under m"}},
        BadPaths{"TooDeep",
                 {KeyPath(kMaxTreeDepth + 1, Key("k", Key::Kind::dict))},
                 {"513 keys", "at most 512"}}),
    [](const auto& test) { return test.param.name; });

TEST(KeyPath, HasADottedNameAndATextForPeople) {
  EXPECT_EQ(dotted_name(path({"a", "b", "3", "c"})), "a.b.3.c");
  EXPECT_EQ(to_string(path({"a", "b", "3", "c"})), "a/b[3]/c");
  EXPECT_EQ(to_string(path({"3"})), "[3]");
}

}  // namespace
}  // namespace cairn
