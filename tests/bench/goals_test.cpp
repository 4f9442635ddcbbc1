#include "report/goals.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace cairn::bench {
namespace {

TEST(Goals, AreAtLeastAsGoodAsTheirFloors) {
  for (const Goal& goal : goals()) EXPECT_TRUE(goal.meets(goal.goal, goal.floor)) << goal.name;
}

TEST(Goals, AreMetAtTheEdgeAndNotBeyond) {
  for (const Goal& goal : goals()) {
    const double worse = goal.good == Good::at_least ? -1e-9 : 1e-9;
    EXPECT_TRUE(goal.meets(goal.goal, goal.goal)) << goal.name;
    EXPECT_TRUE(goal.meets(goal.goal - worse, goal.goal)) << goal.name;
    EXPECT_FALSE(goal.meets(goal.goal + worse, goal.goal)) << goal.name;
    EXPECT_TRUE(goal.meets(goal.floor, goal.floor)) << goal.name;
    EXPECT_FALSE(goal.meets(goal.floor + worse, goal.floor)) << goal.name;
  }
}

TEST(Goals, HaveNamesOfTheirOwnThatFindThem) {
  std::set<std::string_view> names;
  for (const Goal& goal : goals()) {
    EXPECT_TRUE(names.insert(goal.name).second) << goal.name;
    EXPECT_EQ(find_goal(goal.name), &goal);
    EXPECT_FALSE(goal.what.empty()) << goal.name;
  }
  EXPECT_EQ(find_goal("fio_write"), nullptr);
  EXPECT_EQ(find_goal(""), nullptr);
}

TEST(Goals, OfARatioSayWhatItIsComparedWith) {
  for (const Goal& goal : goals()) {
    EXPECT_TRUE(goal.judged == Judged::value || !goal.against.empty()) << goal.name;
  }
}

}  // namespace
}  // namespace cairn::bench
