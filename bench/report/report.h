#pragma once
// The rows of a report, and the three shapes in which it is given: a table, JSON, plots.

#include <boost/json/object.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
};

/// Not thread-safe.
class Report {
 public:
  /// Prints the row, too: a report takes long.
  void add(Row row);
  /// Something is not measured, and why.
  void leave_out(std::string what, std::string why);
  /// What a plot is made of: `y` over `x`, under the plot's name.
  void add_point(const std::string& plot, const std::string& series, double x, double y);
  /// A fact about the machine or the path that was used.
  void note_machine(std::string_view name, boost::json::value value);

  /// {"machine": {...}, "results": [{"name", "value", "unit", "reference", "ratio", "goal",
  /// "floor", "pass", ...}], "left_out": [...]}; goal, floor and pass where the design names them.
  [[nodiscard]] boost::json::object to_json() const;
  /// The rows of the design, in its order, also those that were not measured.
  [[nodiscard]] std::string table() const;
  /// A PNG and an SVG for each plot, by gnuplot; leave_out() where there is none.
  void write_plots(const std::filesystem::path& directory);
  /// No row is worse than its floor.
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
  std::vector<Row> rows_;
  std::vector<Point> points_;
  std::vector<Gap> gaps_;
  boost::json::object machine_;
};

}  // namespace cairn::bench
