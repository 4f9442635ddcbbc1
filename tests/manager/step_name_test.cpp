// The names of steps: what each format writes and reads, and that the two agree.

#include <cairn/manager/step_name.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>

#include "support/policy_samples.h"
#include "support/seed.h"

namespace cairn {
namespace {

using test::expect_refused;
using Names = std::vector<std::string>;

constexpr Step kLastStep = std::numeric_limits<Step>::max();
constexpr const char* kLastName = "9223372036854775807";

void expect_none(const StepNameFormat& format, const Names& names) {
  for (const std::string& name : names) EXPECT_EQ(format.parse(name), std::nullopt) << name;
}

// ---- standard formats ----

TEST(StandardNameFormat, WritesNumbers) {
  const auto format = standard_name_format();
  EXPECT_EQ(format->name(0), "0");
  EXPECT_EQ(format->name(23), "23");
  EXPECT_EQ(format->name(kLastStep), kLastName);
  EXPECT_EQ(format->candidates(23), Names{"23"});
}

TEST(StandardNameFormat, WritesPrefixAndZeros) {
  EXPECT_EQ(standard_name_format("step")->name(23), "step_23");
  EXPECT_EQ(standard_name_format(std::nullopt, 4)->name(23), "0023");
  EXPECT_EQ(standard_name_format("step", 4)->name(23), "step_0023");
  EXPECT_EQ(standard_name_format("step", 4)->name(12345), "step_12345");
  EXPECT_EQ(standard_name_format("checkpoint", 8)->name(0), "checkpoint_00000000");
  EXPECT_EQ(standard_name_format("foo", 12)->name(1234567890), "foo_001234567890");
  EXPECT_EQ(standard_name_format("foo", 30)->name(kLastStep),
            "foo_00000000000" + std::string(kLastName));
}

TEST(StandardNameFormat, ReadsWithoutALengthNumbersWithoutLeadingZeros) {
  const auto format = standard_name_format();
  EXPECT_EQ(format->parse("0"), 0);
  EXPECT_EQ(format->parse("100"), 100);
  EXPECT_EQ(format->parse(kLastName), kLastStep);
  expect_none(*format, {"", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1\n", "a_1", "_1",
                        "9223372036854775808", "99999999999999999999", "\xD9\xA1"});
}

TEST(StandardNameFormat, ReadsWithALengthSoManyDigitsOrMoreWithoutLeadingZeros) {
  const auto format = standard_name_format(std::nullopt, 3);
  EXPECT_EQ(format->parse("000"), 0);
  EXPECT_EQ(format->parse("007"), 7);
  EXPECT_EQ(format->parse("100"), 100);
  EXPECT_EQ(format->parse("1000"), 1000);
  EXPECT_EQ(format->parse(kLastName), kLastStep);
  expect_none(*format, {"", "0", "7", "07", "10", "0007", "0100", "00a", "-01", "tmp"});
  const auto one = standard_name_format(std::nullopt, 1);
  EXPECT_EQ(one->parse("0"), 0);
  expect_none(*one, {"00", "01"});
}

TEST(StandardNameFormat, ReadsItsExactPrefixAlone) {
  const auto format = standard_name_format("aa", 2);
  EXPECT_EQ(format->parse("aa_01"), 1);
  EXPECT_EQ(format->parse("aa_100"), 100);
  expect_none(*format, {"aa", "aa_", "aa01", "a_01", "aaa_01", "0_aa_01", "aa__01", "aa_1",
                        "aa_001", "aa.01", "AA_01", "01", "aa_01_", "aa_ 1"});
  // A prefix is text and no pattern, as which Orbax would take it.
  expect_none(*standard_name_format("a.b"), {"axb_5"});
}

TEST(StandardNameFormat, TemporaryDirectoriesAreNoSteps) {
  const auto format = standard_name_format();
  expect_none(*format, {"5.orbax-checkpoint-tmp", "5.orbax-checkpoint-tmp-1700000000",
                        "5.orbax-checkpoint-tmp-deleted-00ff", ".orbax-checkpoint-tmp"});
  EXPECT_EQ(format->parse_temporary("5.orbax-checkpoint-tmp"), 5);
  EXPECT_EQ(format->parse_temporary("5.orbax-checkpoint-tmp-1700000000"), 5);
  EXPECT_EQ(format->parse_temporary("5.orbax-checkpoint-tmp.orbax-checkpoint-tmp"), 5);
  EXPECT_EQ(format->parse_temporary("5"), std::nullopt);
  EXPECT_EQ(format->parse_temporary("05.orbax-checkpoint-tmp"), std::nullopt);
  EXPECT_EQ(format->parse_temporary("default.orbax-checkpoint-tmp-1"), std::nullopt);
  EXPECT_EQ(format->parse_temporary(".orbax-checkpoint-tmp-1"), std::nullopt);
  EXPECT_EQ(standard_name_format("a", 3)->parse_temporary("a_005.orbax-checkpoint-tmp"), 5);
}

TEST(StandardNameFormat, RefusesPrefixesThatMakeNoDirectory) {
  const auto prefix = [](std::string text) {
    return [text] { static_cast<void>(standard_name_format(text)); };
  };
  expect_refused(prefix(""), "step_prefix is empty. Leave it out");
  expect_refused(prefix("a/b"), "step_prefix 'a/b' cannot begin a name: it contains '/'");
  expect_refused(prefix("/"), "it contains '/'");
  expect_refused(prefix(".."), "it begins with '.'");
  expect_refused(prefix(".hidden"), "it begins with '.'");
  expect_refused(prefix("two\nlines"), "'two?lines' cannot begin a name: it contains a control");
  expect_refused(prefix(std::string("nul\0", 4)), "control character");
  expect_refused(prefix("x.orbax-checkpoint-tmp"), "marks temporary directories");
  expect_refused(prefix(std::string(201, 'x')), "it has 201 bytes, 200 are allowed");
  expect_refused(prefix(std::string(181, 'x')), "names would have 201 bytes, 200 are allowed");
  EXPECT_EQ(standard_name_format(std::string(180, 'x'))->name(kLastStep).size(), 200u);
}

TEST(StandardNameFormat, RefusesLengthsThatMakeNoName) {
  const auto length = [](int digits) {
    return [digits] { static_cast<void>(standard_name_format(std::nullopt, digits)); };
  };
  expect_refused(length(0), "step_format_fixed_length is 0, it must be at least 1");
  expect_refused(length(-4), "step_format_fixed_length is -4");
  expect_refused(length(201), "names would have 201 bytes");
  EXPECT_EQ(standard_name_format(std::nullopt, 200)->name(7).size(), 200u);
  expect_refused([] { static_cast<void>(standard_name_format()->name(-1)); },
                 "name of step -1: steps are not negative");
}

/// Prefixes of whatever a user may think of, numbers and underscores at their ends above all.
class Samples {
 public:
  explicit Samples(std::uint64_t seed) : random_(seed) {}
  std::optional<std::string> prefix() {
    constexpr std::string_view kLetters = "ab_019.-~ \xC3\xA9";
    if (upto(4) == 0) return std::nullopt;
    std::string text;
    for (std::uint64_t left = 1 + upto(5); left > 0; --left)
      text += kLetters[upto(kLetters.size() - 1)];
    return text.front() == '.' ? "x" + text : text;
  }
  std::optional<int> length() {
    return upto(2) == 0 ? std::nullopt : std::optional<int>(1 + static_cast<int>(upto(21)));
  }
  Step step() { return static_cast<Step>(upto(kLastStep) >> upto(63)); }
  /// Something like a name: a format's own, with a byte put in, taken out or changed.
  std::string altered(std::string name) {
    constexpr std::string_view kBytes = "0019_a.";
    const std::size_t at = upto(name.size() - 1);
    switch (upto(2)) {
      case 0:
        name.insert(at, 1, kBytes[upto(kBytes.size() - 1)]);
        break;
      case 1:
        name.erase(at, 1);
        break;
      default:
        name[at] = kBytes[upto(kBytes.size() - 1)];
    }
    return name;
  }

 private:
  std::uint64_t upto(std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(0, most)(random_);
  }
  std::mt19937_64 random_;
};

TEST(StandardNameFormat, NamesAndStepsAreOneToOne) {
  Samples samples(test::make_seed());
  int parsed_altered = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto prefix = samples.prefix();
    const auto length = samples.length();
    const auto format = standard_name_format(prefix, length);
    const Step step = samples.step();
    const std::string name = format->name(step);
    SCOPED_TRACE(name);
    ASSERT_EQ(format->parse(name), step);
    ASSERT_EQ(step_from_checkpoint_name(name), step);
    ASSERT_EQ(format->parse_temporary(name + ".orbax-checkpoint-tmp-12"), step);
    ASSERT_EQ(step_from_checkpoint_name(name + ".orbax-checkpoint-tmp-12"), step);
    ASSERT_EQ(format->candidates(step), Names{name});
    const std::string other = samples.altered(name);
    if (const auto read = format->parse(other)) {
      ASSERT_EQ(format->name(*read), other) << "a name that is read is the step's only one";
      ++parsed_altered;
    }
  }
  EXPECT_GT(parsed_altered, 1000) << "the names test something";
}

// ---- several formats ----

TEST(CompositeNameFormat, WritesOneAndReadsAll) {
  const auto padded = standard_name_format("ckpt", 6);
  const auto format = composite_name_format(padded, {padded, standard_name_format()});
  EXPECT_EQ(format->name(42), "ckpt_000042");
  EXPECT_EQ(format->parse("ckpt_000042"), 42);
  EXPECT_EQ(format->parse("42"), 42);
  expect_none(*format, {"000042", "ckpt_42", "42.orbax-checkpoint-tmp"});
  EXPECT_EQ(format->parse_temporary("42.orbax-checkpoint-tmp-3"), 42);
  EXPECT_EQ(format->candidates(42), (Names{"ckpt_000042", "42"}));
}

TEST(CompositeNameFormat, LooksInTheOrderGivenAndForEachNameOnce) {
  const auto plain = standard_name_format();
  const auto padded = standard_name_format(std::nullopt, 3);
  const auto format = composite_name_format(padded, {plain, padded});
  EXPECT_EQ(format->candidates(7), (Names{"7", "007"}));
  EXPECT_EQ(format->candidates(1234), Names{"1234"});
  EXPECT_EQ(format->name(7), "007");
}

TEST(CompositeNameFormat, ReadsWhatItWritesThoughNobodyAskedForIt) {
  const auto format =
      composite_name_format(standard_name_format("new"), {standard_name_format("old")});
  EXPECT_EQ(format->parse("new_3"), 3);
  EXPECT_EQ(format->candidates(3), (Names{"new_3", "old_3"}));
  const auto alone = composite_name_format(standard_name_format("new"), {});
  EXPECT_EQ(alone->parse(alone->name(3)), 3);
}

TEST(CompositeNameFormat, MayBeNestedAndRefusesNull) {
  const auto inner = composite_name_format(standard_name_format("b"), {standard_name_format("c")});
  const auto outer = composite_name_format(standard_name_format("a"), {inner});
  EXPECT_EQ(outer->candidates(1), (Names{"a_1", "b_1", "c_1"}));
  EXPECT_EQ(outer->parse("c_1"), 1);
  expect_refused([] { static_cast<void>(composite_name_format(nullptr, {})); },
                 "the format to write is null");
  expect_refused(
      [] { static_cast<void>(composite_name_format(standard_name_format(), {nullptr})); },
      "a format to read is null");
}

// ---- formats of a user's own ----

class Custom final : public StepNameFormat {
 public:
  using Format = std::function<std::string(Step)>;
  using Parse = std::function<std::optional<Step>(std::string_view)>;
  Custom(Format format, Parse parse) : format_(std::move(format)), parse_(std::move(parse)) {}

 private:
  std::string format_step(Step step) const override { return format_(step); }
  std::optional<Step> parse_step(std::string_view name) const override { return parse_(name); }
  Format format_;
  Parse parse_;
};

std::optional<Step> parse_kilo(std::string_view name) {
  if (!name.ends_with('k')) return std::nullopt;
  const auto thousands = standard_name_format()->parse(name.substr(0, name.size() - 1));
  return thousands ? std::optional(*thousands * 1000) : std::nullopt;
}

TEST(CustomNameFormat, DecidesAboutNamesByItself) {
  const Custom kilo([](Step step) { return std::to_string(step / 1000) + "k"; }, parse_kilo);
  EXPECT_EQ(kilo.name(7000), "7k");
  EXPECT_EQ(kilo.parse("7k"), 7000);
  EXPECT_EQ(kilo.candidates(7000), Names{"7k"});
  EXPECT_EQ(kilo.parse_temporary("7k.orbax-checkpoint-tmp-1"), 7000);
  expect_refused([&] { static_cast<void>(kilo.name(7001)); },
                 "name of step 7001: the step name format gives '7k' and reads it as step 7000");
}

TEST(CustomNameFormat, MayHaveNoNameForAStepThatOthersRead) {
  const auto kilo = std::make_shared<Custom>(
      [](Step step) { return std::to_string(step / 1000) + "k"; }, parse_kilo);
  const auto format = composite_name_format(standard_name_format(), {kilo});
  EXPECT_EQ(format->candidates(7001), Names{"7001"});
  EXPECT_EQ(format->candidates(7000), (Names{"7000", "7k"}));
  EXPECT_EQ(format->parse("7k"), 7000);
}

/// Reads names of any padding; "x" stands for step 1.
class AnyPadding final : public StepNameFormat {
  std::string format_step(Step step) const override { return std::to_string(step); }
  std::optional<Step> parse_step(std::string_view name) const override {
    return name == "x" ? 1 : step_from_checkpoint_name(name);
  }
  std::vector<std::string> format_candidates(Step step) const override {
    const std::string number = std::to_string(step);
    return {number, "0" + number, "x", "../" + number, "00" + number, number};
  }
};

TEST(CustomNameFormat, MayReadMoreNamesThanItWrites) {
  EXPECT_EQ(AnyPadding().parse("007"), 7);
  EXPECT_EQ(AnyPadding().candidates(7), (Names{"7", "07", "007"})) << "x is that of step 1";
  EXPECT_EQ(AnyPadding().candidates(1), (Names{"1", "01", "x", "001"}));
}

TEST(CustomNameFormat, CannotLeadOutOfTheRootOrHideASave) {
  for (const char* name : {"../7", "/etc/7", "", ".", "..", "7.orbax-checkpoint-tmp", "7/x"}) {
    const Custom format([name](Step) { return name; }, [](std::string_view) { return 7; });
    expect_refused([&] { static_cast<void>(format.name(7)); },
                   "the step name format gives '" + std::string(name) + "': it ");
    expect_refused([&] { static_cast<void>(format.candidates(7)); }, "the step name format gives");
    EXPECT_EQ(format.parse(name), std::nullopt);
  }
}

TEST(CustomNameFormat, IsNotBelievedWhenItReadsNothingOrNegativeSteps) {
  const Custom deaf([](Step) { return "x"; }, [](std::string_view) { return std::nullopt; });
  expect_refused([&] { static_cast<void>(deaf.name(7)); }, "reads it as no step");
  const Custom negative([](Step) { return "x"; }, [](std::string_view) { return -7; });
  EXPECT_EQ(negative.parse("x"), std::nullopt);
}

}  // namespace
}  // namespace cairn
