#include <cairn/codecs/key_transform.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace cairn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr auto kDouble = [](const Tree& value) { return Tree(2 * value.as<std::int64_t>()); };
constexpr auto kCount = [](std::string_view, const Dict& values) { return Tree(values.size()); };

std::vector<KeyPath> paths_of(const Tree& tree) {
  std::vector<KeyPath> paths;
  for (const FlatEntry& entry : flatten(tree)) paths.push_back(entry.path);
  return paths;
}

// "key <- sources", "key kept", with the number of the rule where one matched.
std::vector<std::string> plan(const Tree& saved, const Tree& target,
                              const std::vector<TransformRule>& rules,
                              Unmatched unmatched = Unmatched::saved) {
  const auto from = paths_of(saved);
  const auto to = paths_of(target);
  const auto feeds = plan_transforms(from, to, rules, unmatched);
  EXPECT_EQ(feeds.size(), to.size());
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    std::string line = key_text(to[i]) + (feeds[i].keeps_target ? " kept" : " <-");
    for (const std::size_t source : feeds[i].sources) line += " " + key_text(from[source]);
    if (feeds[i].rule) line += " by " + std::to_string(*feeds[i].rule);
    lines.push_back(line);
  }
  return lines;
}

template <class Matcher>
void refuses(const Tree& saved, const Tree& target, const std::vector<TransformRule>& rules,
             const Matcher& message, Unmatched unmatched = Unmatched::saved) {
  EXPECT_THAT([&] { plan(saved, target, rules, unmatched); },
              ThrowsMessage<std::invalid_argument>(message));
}

TEST(KeyText, JoinsKeysAndEscapesSlashes) {
  const Tree tree = Dict{{"a", List{1, Dict{{"b/c", 1}, {"~", 1}, {"~1", 1}, {"", 1}}}}};
  std::vector<std::string> texts;
  for (const KeyPath& path : paths_of(tree)) texts.push_back(key_text(path));
  EXPECT_THAT(texts, ElementsAre("a/0", "a/1/b~1c", "a/1/~0", "a/1/~01", "a/1/"));
  EXPECT_EQ(key_text({}), "");
}

TEST(Transforms, WithoutRulesTakeWhatIsSavedUnderTheSamePath) {
  const Tree saved = Dict{{"a", 1}, {"b", List{1, 2}}, {"c", 1}};
  const Tree target = Dict{{"b", List{1, 2}}, {"g", 5}, {"a", 1}};
  EXPECT_THAT(plan(saved, target, {}), ElementsAre("b/0 <- b/0", "b/1 <- b/1", "g kept", "a <- a"));
  EXPECT_THAT(plan(saved, target, {}, Unmatched::target),
              ElementsAre("b/0 kept", "b/1 kept", "g kept", "a kept"));
}

// The example of Orbax's apply_transformations.
TEST(Transforms, OfOrbaxsExample) {
  const Tree saved = Dict{{"a", 1},
                          {"b", Dict{{"c", 5}, {"d", List{0, 1, 2, 3}}}},
                          {"f", 2},
                          {"b1", Dict{{"c", 2}}},
                          {"b2", Dict{{"c", 3}}}};
  const Tree target = Dict{{"a1", 0},
                           {"b", Dict{{"c", 0}}},
                           {"c1", 0},
                           {"c2", 0},
                           {"x", 0},
                           {"y", 0},
                           {"z", 0},
                           {"f", 0},
                           {"g", 5},
                           {"x1", Dict{{"c", 2}}},
                           {"x2", Dict{{"c", 3}}}};
  const std::vector<TransformRule> rules{TransformRule::rename("a1", "a"),
                                         TransformRule::apply("b/c", kDouble),
                                         TransformRule::rename("c1|c2", "b/c"),
                                         TransformRule::rename("x", "b/d/0"),
                                         TransformRule::combine("y", {"b/d/1", "b/d/2"}, kCount),
                                         TransformRule::combine("z", {"b/d", "a"}, kCount),
                                         TransformRule::rename(R"(x(\d.*))", "b$1")};
  EXPECT_THAT(
      plan(saved, target, rules),
      ElementsAre("a1 <- a by 0", "b/c <- b/c by 1", "c1 <- b/c by 2", "c2 <- b/c by 2",
                  "x <- b/d/0 by 3", "y <- b/d/1 b/d/2 by 4", "z <- a b/d/0 b/d/1 b/d/2 b/d/3 by 5",
                  "f <- f", "g kept", "x1/c <- b1/c by 6", "x2/c <- b2/c by 6"));
}

TEST(Transforms, PatternsMatchWholeKeyTexts) {
  const Tree saved = Dict{{"a", 1}, {"ab", 2}, {"b", Dict{{"a", 3}}}};
  EXPECT_THAT(plan(saved, saved, {TransformRule::rename("a", "ab")}),
              ElementsAre("a <- ab by 0", "ab <- ab", "b/a <- b/a"));
  EXPECT_THAT(plan(saved, saved, {TransformRule::rename("(.*/)?a", "ab")}),
              ElementsAre("a <- ab by 0", "ab <- ab", "b/a <- ab by 0"));
}

TEST(Transforms, NameKeysWithSlashesByTheirEscapes) {
  const Tree saved = Dict{{"a/b", 1}, {"a", Dict{{"b", 2}}}};
  const Tree target = Dict{{"x/y", 1}, {"x", Dict{{"y", 2}}}};
  EXPECT_THAT(plan(saved, target, {TransformRule::rename("x(~1|/)y", "a$1b")}),
              ElementsAre("x~1y <- a~1b by 0", "x/y <- a/b by 0"));
}

TEST(Transforms, CombineLeavesAndWholeNodesOnceEach) {
  const Tree saved = Dict{{"q", Dict{{"0", 1}, {"1", 2}}}, {"q2", 3}, {"k", 4}};
  const Tree target = Dict{{"all", 0}, {"q0", 0}};
  EXPECT_THAT(plan(saved, target,
                   {TransformRule::combine("all", {"k", "q", "q/1"}, kCount),
                    TransformRule::combine("(q)(0)", {"$1/$2"}, kCount)}),
              ElementsAre("all <- q/0 q/1 k by 0", "q0 <- q/0 by 1"));
  EXPECT_THAT(plan(saved, Tree(1), {TransformRule::combine("", {""}, kCount)}),
              ElementsAre(" <- q/0 q/1 q2 k by 0"));
  EXPECT_THAT(plan(saved, Tree(1), {TransformRule::combine("", {}, kCount)}),
              ElementsAre(" <- by 0"));
}

TEST(Transforms, FallBackToWhatLeavesWithoutARuleDoNotTake) {
  const Tree saved = Dict{{"a", 1}, {"b", 2}};
  const std::vector<TransformRule> rules{TransformRule::fallback("a")};
  EXPECT_THAT(plan(saved, saved, rules), ElementsAre("a kept by 0", "b <- b"));
  EXPECT_THAT(plan(saved, saved, rules, Unmatched::target), ElementsAre("a <- a by 0", "b kept"));
  refuses(Dict{{"b", 2}}, saved, rules, AllOf(HasSubstr("rule \"a\""), HasSubstr("no saved leaf")),
          Unmatched::target);
}

TEST(Transforms, RefuseSourcesThatAreNotSaved) {
  const Tree saved = Dict{{"a", Dict{{"b", 1}}}};
  const Tree target = Dict{{"x", 1}};
  refuses(
      saved, target, {TransformRule::rename("x", "c")},
      AllOf(HasSubstr("transform rule \"x\""), HasSubstr("for \"x\""), HasSubstr("needs \"c\"")));
  refuses(saved, target, {TransformRule::rename("x", "a")}, HasSubstr("which is no saved leaf"));
  refuses(saved, target, {TransformRule::apply("x", kDouble)}, HasSubstr("needs \"x\""));
  refuses(saved, target, {TransformRule::combine("x", {"a", "a/c"}, kCount)},
          AllOf(HasSubstr("needs \"a/c\""), HasSubstr("or below it")));
}

TEST(Transforms, RefuseTwoRulesForOneLeaf) {
  const Tree tree = Dict{{"a", 1}, {"b", 1}};
  refuses(tree, tree, {TransformRule::rename("a", "b"), TransformRule::fallback("[ab]")},
          AllOf(HasSubstr("rule \"a\""), HasSubstr("matches \"a\", and so does \"[ab]\"")));
}

TEST(Transforms, RefuseRulesThatMatchNothing) {
  const Tree tree = Dict{{"ab", 1}};
  refuses(tree, tree, {TransformRule::rename("a", "ab")},
          AllOf(HasSubstr("rule \"a\""), HasSubstr("matches no leaf")));
}

TEST(Transforms, RefusePatternsThatAreNoExpressions) {
  const Tree tree = Dict{{"a", 1}};
  refuses(tree, tree, {TransformRule::fallback("(a")},
          AllOf(HasSubstr("rule \"(a\""), HasSubstr("no regular expression")));
}

TEST(Transforms, RefuseGroupsThatThePatternDoesNotHave) {
  const Tree tree = Dict{{"a", 1}, {"a$1", 2}};
  refuses(tree, tree, {TransformRule::rename("(a)", "$2")},
          AllOf(HasSubstr("names group $2"), HasSubstr("the pattern has 1")));
  refuses(tree, tree, {TransformRule::rename("(a)", "$10")}, HasSubstr("names group $10"));
  EXPECT_THAT(plan(tree, tree, {TransformRule::rename("(a)", "$1$$1")}),
              ElementsAre("a <- a$1 by 0", "a$1 <- a$1"));
}

TEST(Transforms, RefuseFunctionsThatAreEmpty) {
  EXPECT_THROW((void)TransformRule::apply("a", {}), std::invalid_argument);
  EXPECT_THROW((void)TransformRule::combine("a", {"b"}, {}), std::invalid_argument);
}

TEST(TransformRule, KeepsWhatItWasGiven) {
  const auto renamed = TransformRule::rename("a", "b");
  EXPECT_EQ(renamed.kind(), TransformRule::Kind::take);
  EXPECT_EQ(renamed.pattern(), "a");
  EXPECT_THAT(renamed.sources(), ElementsAre("b"));
  EXPECT_FALSE(renamed.value_function());
  EXPECT_EQ(TransformRule::rename("a", "b", kDouble).value_function()(Tree(2)), Tree(4));
  const auto combined = TransformRule::combine("a", {"b", "c"}, kCount);
  EXPECT_EQ(combined.kind(), TransformRule::Kind::combine);
  EXPECT_EQ(combined.combine_function()("a", Dict{{"b", 1}, {"c", 2}}), Tree(2u));
  EXPECT_EQ(TransformRule::fallback("a").kind(), TransformRule::Kind::fallback);
}

}  // namespace
}  // namespace cairn
