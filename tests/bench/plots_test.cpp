#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "report/report.h"
#include "support/temp_directory.h"

namespace cairn::bench {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string left_out_of(const Report& report) {
  return boost::json::serialize(report.to_json().at("left_out"));
}

/// A path for programs of the test's own choice.
class ProgramPath {
 public:
  explicit ProgramPath(const std::string& path) { ::setenv("PATH", path.c_str(), 1); }
  ~ProgramPath() { ::setenv("PATH", before_.c_str(), 1); }
  ProgramPath(const ProgramPath&) = delete;
  ProgramPath& operator=(const ProgramPath&) = delete;

 private:
  std::string before_ = std::getenv("PATH") == nullptr ? "" : std::getenv("PATH");
};

Report report_with_points() {
  Report report;
  for (const double leaves : {100'000.0, 1'000.0, 10'000.0}) {
    report.add_point("seconds/leaves", "it's ours", leaves, leaves * 1e-6);
    report.add_point("seconds/leaves", "theirs_too", leaves, leaves * 1e-3);
  }
  report.name_axes("seconds/leaves", "leaves", "seconds");
  report.add_point("plain", "one", 1, 5);
  report.add_point("plain", "one", 2, 6);
  report.add({.name = "save_returns", .value = 0.2, .unit = "ms"});
  report.add({.name = "crc32c", .value = -0.5, .unit = "%"});
  report.add({.name = "save_raw", .value = 1, .unit = "GB/s", .reference = 2});
  return report;
}

TEST(Plots, BecomePngAndSvg) {
  if (std::system("command -v gnuplot >/dev/null") != 0) GTEST_SKIP() << "no gnuplot";
  const test::TempDirectory directory;
  const auto plots = directory / "it's here";
  Report report = report_with_points();
  report.write_plots(plots);
  EXPECT_THAT(left_out_of(report), Not(HasSubstr("plot")));
  for (const std::string name : {"seconds_leaves", "plain", "goals"}) {
    EXPECT_THAT(content_of(plots / (name + ".png")), StartsWith("\x89PNG")) << name;
    EXPECT_THAT(content_of(plots / (name + ".svg")), AllOf(HasSubstr("<svg"), HasSubstr("</svg>")))
        << name;
  }
  EXPECT_THAT(content_of(plots / "seconds_leaves.svg"),
              AllOf(HasSubstr("it's ours"), HasSubstr("theirs_too"), HasSubstr("leaves")));
  EXPECT_THAT(content_of(plots / "goals.svg"),
              AllOf(HasSubstr("save_returns"), HasSubstr("crc32c"), HasSubstr("save_raw")));
}

TEST(Plots, HandGnuplotTheirPointsInOrder) {
  // A gnuplot that draws nothing, and nothing else that a shell would find.
  const test::TempDirectory directory;
  const auto program = directory / "gnuplot";
  std::ofstream(program) << "#!/bin/sh\nexit 0\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  const ProgramPath path(directory.string());
  Report report = report_with_points();
  report.write_plots(directory.path());
  EXPECT_EQ(content_of(directory / "seconds_leaves.dat"),
            "# x y; a block for each series\n"
            "# 'it''s ours'\n1000 0.001\n10000 0.01\n100000 0.1\n\n\n"
            "# 'theirs_too'\n1000 1\n10000 10\n100000 100\n");
  EXPECT_THAT(content_of(directory / "seconds_leaves.gp"),
              AllOf(HasSubstr("set logscale x"), HasSubstr("set logscale y"),
                    HasSubstr("set xlabel 'leaves'")));
  EXPECT_THAT(content_of(directory / "plain.gp"), Not(HasSubstr("logscale")));
  // 5 times as good as the goal, with a floor of 5 times the goal; as good as can be; half as good.
  EXPECT_THAT(content_of(directory / "goals.dat"),
              AllOf(HasSubstr(" 5 0.2 "), HasSubstr(" 8 0.6 "), HasSubstr(" 0.5155 0.9278 ")));
}

TEST(Plots, AreLeftOutWithGnuplotsWordsWhereItFails) {
  const test::TempDirectory directory;
  const auto program = directory / "gnuplot";
  std::ofstream(program) << "#!/bin/sh\necho no such terminal >&2\nexit 3\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  const ProgramPath path(directory.string());
  Report report = report_with_points();
  report.write_plots(directory.path());
  EXPECT_THAT(left_out_of(report), HasSubstr("no such terminal"));
}

TEST(Plots, AreLeftOutWithoutGnuplot) {
  const test::TempDirectory directory;
  const ProgramPath path(directory.string());
  Report report = report_with_points();
  report.write_plots(directory / "plots");
  EXPECT_THAT(left_out_of(report), HasSubstr("there is no gnuplot"));
}

}  // namespace
}  // namespace cairn::bench
