#include "report/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

namespace cairn::bench {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(SpreadOf, TakesTheMiddleOfAnOddNumber) {
  const Spread spread = spread_of({5, 1, 3});
  EXPECT_EQ(spread.min, 1);
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.max, 5);
}

TEST(SpreadOf, TakesTheMeanOfTheMiddleTwoOfAnEvenNumber) {
  EXPECT_EQ(spread_of({8, 1, 2, 4}).median, 3);
}

TEST(SpreadOf, OfOneNumberIsThat) {
  const Spread spread = spread_of({7});
  EXPECT_EQ(spread.min, 7);
  EXPECT_EQ(spread.median, 7);
  EXPECT_EQ(spread.max, 7);
}

TEST(SpreadOf, RefusesNothing) {
  EXPECT_THROW((void)spread_of({}), std::logic_error);
  EXPECT_THROW((void)percentile({}, 0.5), std::logic_error);
}

TEST(Percentile, IsTheLeastThatSoManyDoNotExceed) {
  std::vector<double> values;
  for (int i = 1000; i > 0; --i) values.push_back(i);
  EXPECT_EQ(percentile(values, 0.5), 500);
  EXPECT_EQ(percentile(values, 0.99), 990);
  EXPECT_EQ(percentile(values, 0.999), 999);
  EXPECT_EQ(percentile(values, 0.9991), 1000);
}

TEST(Percentile, EndsAtTheLeastAndTheLargest) {
  EXPECT_EQ(percentile({3, 1, 2}, 0), 1);
  EXPECT_EQ(percentile({3, 1, 2}, 1), 3);
  EXPECT_EQ(percentile({9}, 0.99), 9);
}

TEST(TakeTurns, RunsEverySecondRoundBackwards) {
  std::vector<std::pair<char, int>> calls;
  const auto side = [&calls](char name) {
    return [&calls, name](int round) {
      calls.emplace_back(name, round);
      return 0.0;
    };
  };
  (void)take_turns(3, {side('a'), side('b'), side('c')});
  EXPECT_THAT(calls,
              ElementsAre(Pair('a', 0), Pair('b', 0), Pair('c', 0), Pair('c', 1), Pair('b', 1),
                          Pair('a', 1), Pair('a', 2), Pair('b', 2), Pair('c', 2)));
}

TEST(TakeTurns, GivesEachSideItsFiguresByRound) {
  const auto figures = take_turns(
      3, {[](int round) { return 10.0 + round; }, [](int round) { return 20.0 + round; }});
  EXPECT_THAT(figures, ElementsAre(ElementsAre(10, 11, 12), ElementsAre(20, 21, 22)));
}

TEST(RatioOf, IsTakenWithinEachRound) {
  // The machine doubles its speed in the second round and halves it in the third.
  const Spread ratio = ratio_of({9, 20, 5}, {10, 20, 5});
  EXPECT_DOUBLE_EQ(ratio.min, 0.9);
  EXPECT_DOUBLE_EQ(ratio.median, 1);
  EXPECT_DOUBLE_EQ(ratio.max, 1);
}

TEST(RatioOf, RefusesAReferenceOfFewerRounds) {
  EXPECT_THROW((void)ratio_of({1, 2}, {1}), std::out_of_range);
}

TEST(Process, SeesItsOwnTimeAndMemory) {
  const double before = cpu_seconds();
  const std::uint64_t resident = resident_bytes();
  std::vector<char> memory(std::size_t{64} << 20);
  // Some work that the compiler cannot leave out.
  for (int i = 1; i < 8; ++i) std::memset(memory.data(), i, memory.size());
  EXPECT_GT(resident_bytes(), resident + memory.size() / 2);
  EXPECT_GE(peak_resident_bytes(), resident + memory.size() / 2);
  EXPECT_GT(cpu_seconds(), before);
  EXPECT_EQ(memory.back(), 7);
}

}  // namespace
}  // namespace cairn::bench
