#pragma once
// The rows of a report, and the three shapes in which it is given: a table, JSON, plots.

#include <boost/json/object.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/goals.h"
#include "report/measure.h"

namespace cairn::bench {

/// A figure. Those that the design names get its goal and floor from goals(), by their names.
struct Row {
  std::string name;  ///< of goals(), or "fio_write_4m_32_1", "llama.torch_save.stall", ...
  double value = 0;
  std::string unit;  ///< "GB/s" (10^9 bytes), "ms", "s/GB", "%", ...
  /// The median of what it is compared with, in the same unit.
  std::optional<double> reference{};
  /// Of value and reference, round by round; its median is the row's ratio.
  std::optional<Spread> ratio{};
  int rounds = 1;
  std::string note{};  ///< what one has to know of it
  /// Where the goal is of another size than what was measured: of what this is. It is then shown
  /// beside the goal, and neither passes nor fails.
  std::string other_size{};
  /// Each round's, where they were kept: of the row and of what it is compared with.
  std::vector<double> figures{};
  std::vector<double> references{};
};
/// The row of what two sides gave in the same rounds.
[[nodiscard]] Row compared(std::string name, std::string unit, const std::vector<double>& ours,
                           const std::vector<double>& reference, std::string note = {});

/// What of the row is held against its goal; none where it is a ratio and the row has none.
[[nodiscard]] std::optional<double> judged_figure(const Row& row, const Goal& goal);
/// "goal", "above floor" or "BELOW FLOOR".
[[nodiscard]] std::string_view mark_of(double figure, const Goal& goal);
/// Of three or four digits: "0.9713", "12.35", "4096".
[[nodiscard]] std::string figure_text(double figure);

/// Not thread-safe.
class Report {
 public:
  /// Prints the row, too: a report takes long. A later row replaces one of the same name; what is
  /// no finite number, or lacks the ratio that its goal is about, is left out instead.
  void add(Row row);
  /// Something is not measured, and why. The name of a row in `what` tells the table about it.
  void leave_out(std::string what, std::string why);
  /// What a plot is made of: `y` over `x`, under the plot's name.
  void add_point(const std::string& plot, const std::string& series, double x, double y);
  /// What a plot's axes are; one without has its name alone.
  void name_axes(const std::string& plot, std::string x, std::string y);
  /// A fact about the machine or the path that was used.
  void note_machine(std::string_view name, boost::json::value value);

  /// {"machine": {...}, "results": [{"name", "value", "unit", "reference", "ratio", "goal",
  /// "floor", "pass", ...}], "left_out": [{"what", "why"}]}; goal, floor and pass where the design
  /// names them, reference and ratio null where there is none.
  [[nodiscard]] boost::json::object to_json() const;
  /// In Markdown: the rows of the design, in its order, also those that were not measured; then the
  /// other rows, and what was left out.
  [[nodiscard]] std::string table() const;
  /// A PNG and an SVG for each plot, and for the rows of the design; by gnuplot, whose data and
  /// script stay beside them. leave_out() where there is no gnuplot.
  void write_plots(const std::filesystem::path& directory);
  /// A section ended with an error: rows of it may be missing.
  void fail(std::string section, std::string why);
  /// No row is worse than its floor, and no section has failed.
  [[nodiscard]] bool acceptable() const;

 private:
  struct Point {
    std::string plot;
    std::string series;
    double x;
    double y;
  };
  struct Gap {
    std::string what;
    std::string why;
  };
  struct Axes {
    std::string plot;
    std::string x;
    std::string y;
  };
  [[nodiscard]] const Row* find_row(std::string_view name) const;
  /// Also of the design's rows that nothing was said of.
  [[nodiscard]] std::vector<Gap> gaps() const;
  void write_plot(const std::filesystem::path& directory, const std::string& plot);
  void write_goals_plot(const std::filesystem::path& directory);
  bool failed_ = false;
  std::vector<Row> rows_;
  std::vector<Point> points_;
  std::vector<Axes> axes_;
  std::vector<Gap> gaps_;
  boost::json::object machine_;
};

}  // namespace cairn::bench
