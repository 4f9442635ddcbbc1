#include "report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <limits>
#include <string>
#include <vector>

namespace cairn::bench {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

/// A row of the design that is judged by its ratio: goal 0.97, floor 0.9.
Row save_row(double ratio) {
  return {.name = "save_raw",
          .value = 1.2345,
          .unit = "GB/s",
          .reference = 1.3,
          .ratio = Spread{ratio - 0.1, ratio, ratio + 0.1},
          .rounds = 7};
}

/// One that is judged by its value: goal 1 ms, floor 5 ms.
Row returns_row(double ms) {
  return {.name = "save_returns", .value = ms, .unit = "ms"};
}

std::string line_with(const std::string& table, const std::string& text) {
  const auto at = table.find(text);
  if (at == std::string::npos) return "no line with " + text;
  const auto begin = table.rfind('\n', at) + 1;
  return table.substr(begin, table.find('\n', at) - begin);
}

/// As others read it.
boost::json::object parsed(const Report& report) {
  return boost::json::parse(boost::json::serialize(report.to_json())).as_object();
}
boost::json::object first_result(const Report& report) {
  return parsed(report).at("results").at(0).as_object();
}
std::vector<std::string> left_out(const Report& report) {
  std::vector<std::string> all;
  const boost::json::object json = parsed(report);
  for (const auto& gap : json.at("left_out").as_array()) {
    all.push_back(std::string(gap.at("what").as_string()) + ": " +
                  std::string(gap.at("why").as_string()));
  }
  return all;
}

TEST(ReportJson, OfARowWithAGoalSaysWhetherItPasses) {
  Report report;
  report.add(save_row(0.98));
  const auto row = first_result(report);
  EXPECT_EQ(row.at("name"), "save_raw");
  EXPECT_EQ(row.at("value"), 1.2345);
  EXPECT_EQ(row.at("unit"), "GB/s");
  EXPECT_EQ(row.at("reference"), 1.3);
  EXPECT_EQ(row.at("ratio"), 0.98);
  EXPECT_DOUBLE_EQ(row.at("ratio_min").as_double(), 0.88);
  EXPECT_DOUBLE_EQ(row.at("ratio_max").as_double(), 1.08);
  EXPECT_EQ(row.at("rounds"), 7);
  EXPECT_EQ(row.at("goal"), 0.97);
  EXPECT_EQ(row.at("floor"), 0.9);
  EXPECT_EQ(row.at("pass"), true);
}

TEST(ReportJson, PassMeansTheGoal) {
  Report report;
  report.add(save_row(0.95));
  EXPECT_EQ(first_result(report).at("pass"), false);
  Report at_the_edge;
  at_the_edge.add(save_row(0.97));
  EXPECT_EQ(first_result(at_the_edge).at("pass"), true);
}

TEST(ReportJson, JudgesTheValueWhereTheGoalIsOne) {
  Report fast;
  fast.add(returns_row(1));
  EXPECT_EQ(first_result(fast).at("pass"), true);
  Report slow;
  slow.add(returns_row(1.001));
  EXPECT_EQ(first_result(slow).at("pass"), false);
}

TEST(ReportJson, OfARowWithoutAGoalHasNone) {
  Report report;
  report.add({.name = "fio_write_4m_32_1", .value = 2, .unit = "GB/s"});
  const auto row = first_result(report);
  EXPECT_TRUE(row.at("reference").is_null());
  EXPECT_TRUE(row.at("ratio").is_null());
  for (const char* key : {"goal", "floor", "pass"}) EXPECT_FALSE(row.contains(key)) << key;
}

TEST(ReportJson, TakesTheRatioOfTheMediansWhereNoneIsGiven) {
  Report report;
  report.add({.name = "save_raw", .value = 1, .unit = "GB/s", .reference = 2});
  EXPECT_EQ(first_result(report).at("ratio"), 0.5);
}

TEST(ReportJson, HasTheMachine) {
  Report report;
  report.note_machine("cores", 2);
  EXPECT_EQ(parsed(report).at("machine").at("cores"), 2);
}

TEST(ReportJson, SaysOfEveryRowOfTheDesignWhereItIs) {
  Report report;
  report.add(save_row(1));
  report.leave_out("crc32c", "no time");
  const auto gaps = left_out(report);
  EXPECT_EQ(gaps.size(), goals().size() - 1);
  EXPECT_THAT(gaps, Contains("crc32c: no time"));
  EXPECT_THAT(gaps, Contains("restart: its section did not run"));
  const boost::json::object first = parsed(report).at("left_out").at(0).as_object();
  EXPECT_EQ(first.at("name"), "crc32c");
  EXPECT_EQ(first.at("floor"), find_goal("crc32c")->floor);
}

TEST(Report, LeavesOutWhatIsNoNumber) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  Report report;
  report.add(returns_row(kNaN));
  report.add(save_row(kInfinite));
  report.add({.name = "x", .value = 1, .unit = "s", .reference = kNaN});
  EXPECT_TRUE(parsed(report).at("results").as_array().empty());
  for (const char* name : {"save_returns", "save_raw", "x"}) {
    EXPECT_THAT(left_out(report), Contains(HasSubstr(std::string(name) + ": what was measured")));
  }
}

TEST(Report, LeavesOutARatioWithoutAReference) {
  Report report;
  report.add({.name = "save_raw", .value = 1, .unit = "GB/s"});
  report.add({.name = "tiny_save", .value = 1, .unit = "s", .reference = 0});
  EXPECT_TRUE(parsed(report).at("results").as_array().empty());
  EXPECT_THAT(left_out(report),
              AllOf(Contains("save_raw: what it is compared with was not measured"),
                    Contains("tiny_save: what it is compared with was not measured")));
}

TEST(Report, KeepsTheLaterOfTwoRowsOfOneName) {
  Report report;
  report.add(returns_row(9));
  report.add(returns_row(0.5));
  EXPECT_EQ(parsed(report).at("results").as_array().size(), 1U);
  EXPECT_EQ(first_result(report).at("value"), 0.5);
}

TEST(Report, IsAcceptableUntilARowIsBelowItsFloor) {
  Report report;
  EXPECT_TRUE(report.acceptable());
  report.add(save_row(0.9));
  report.add(returns_row(5));
  EXPECT_TRUE(report.acceptable());
  report.add(save_row(0.899));
  EXPECT_FALSE(report.acceptable());
  Report slow;
  slow.add(returns_row(5.1));
  EXPECT_FALSE(slow.acceptable());
}

TEST(ReportTable, MarksEachRow) {
  const auto line = [](const Row& row, const std::string& what) {
    Report report;
    report.add(row);
    return line_with(report.table(), what);
  };
  const std::string save = "save, uncompressed, to durable";
  EXPECT_EQ(line(save_row(0.97), save),
            "| save, uncompressed, to durable | best fio write (io_uring, direct, end_fsync) "
            "| 1.234 GB/s | 0.97 (0.87 - 1.07) | >= 0.97 | 0.9 | goal |");
  EXPECT_THAT(line(save_row(0.96), save), HasSubstr("| above floor |"));
  EXPECT_THAT(line(save_row(0.89), save), HasSubstr("| BELOW FLOOR |"));
  EXPECT_THAT(line(returns_row(0.25), "save() returns"),
              HasSubstr("| 0.25 ms | | <= 1 ms | 5 | goal |"));
}

TEST(ReportTable, ShowsWhatWasNotMeasuredAndWhy) {
  Report report;
  report.leave_out("peer_orbax", "no Python | with\nOrbax");
  const std::string table = report.table();
  EXPECT_THAT(line_with(table, "| Orbax |"), HasSubstr("not measured: no Python \\| with Orbax |"));
  EXPECT_THAT(line_with(table, "crc32c"), HasSubstr("not measured: its section did not run |"));
  EXPECT_THAT(table, Not(HasSubstr("Left out:")));
}

TEST(ReportTable, HasTheRowsOfTheDesignInItsOrder) {
  Report report;
  report.add(returns_row(1));
  report.add(save_row(1));
  const std::string table = report.table();
  std::size_t last = 0;
  for (const Goal& goal : goals()) {
    const auto at = table.find("| " + std::string(goal.what) + " |", last);
    ASSERT_NE(at, std::string::npos) << goal.name;
    last = at;
  }
}

TEST(ReportTable, EndsWithTheOtherRowsAndNotes) {
  Report report;
  Row save = save_row(1);
  save.note = "4 MiB blocks";
  report.add(save);
  report.add({.name = "fio_read", .value = 3000000, .unit = "B/s", .note = "warm"});
  report.leave_out("plots", "no gnuplot");
  const std::string table = report.table();
  EXPECT_THAT(table, HasSubstr("| fio_read | 3000000 B/s | | | warm |\n"));
  EXPECT_THAT(table, HasSubstr("- save, uncompressed, to durable: 4 MiB blocks\n"));
  EXPECT_THAT(table, HasSubstr("Left out:\n- plots: no gnuplot\n"));
}

TEST(FigureText, HasFourDigitsAndNoExponent) {
  EXPECT_EQ(figure_text(0.97126), "0.9713");
  EXPECT_EQ(figure_text(-1.5), "-1.5");
  EXPECT_EQ(figure_text(123456), "123456");
  EXPECT_EQ(figure_text(0), "0");
}

}  // namespace
}  // namespace cairn::bench
