#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>
#include <cmath>
#include <cstdio>
#include <utility>

namespace cairn::bench {
namespace {

bool finite(const Row& row) {
  const bool ratio_finite =
      !row.ratio || (std::isfinite(row.ratio->min) && std::isfinite(row.ratio->median) &&
                     std::isfinite(row.ratio->max));
  return ratio_finite && std::isfinite(row.value) &&
         (!row.reference || std::isfinite(*row.reference));
}

std::optional<double> ratio_of_medians(const Row& row) {
  if (row.ratio) return row.ratio->median;
  if (row.reference && *row.reference != 0) return row.value / *row.reference;
  return std::nullopt;
}

std::string with_unit(double figure, const std::string& unit) {
  return unit.empty() ? figure_text(figure) : figure_text(figure) + " " + unit;
}

/// "0.9662 (0.89 - 1.1)".
std::string ratio_text(const Row& row) {
  if (row.ratio) {
    return fmt::format("{} ({:.3g} - {:.3g})", figure_text(row.ratio->median), row.ratio->min,
                       row.ratio->max);
  }
  const auto ratio = ratio_of_medians(row);
  return ratio ? figure_text(*ratio) : "";
}

/// ">= 0.97" of a ratio, "<= 3 %" of a value.
std::string goal_text(const Goal& goal, const Row* row) {
  const std::string_view sign = goal.good == Good::at_least ? ">=" : "<=";
  const bool of_value = row != nullptr && goal.judged == Judged::value;
  return fmt::format("{} {}", sign, with_unit(goal.goal, of_value ? row->unit : ""));
}

/// A cell must not end its row or its column.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

void add_line(std::string& table, const std::vector<std::string>& cells) {
  table += '|';
  for (const std::string& text : cells) table += text.empty() ? " |" : " " + cell(text) + " |";
  table += '\n';
}

void add_heading(std::string& table, const std::vector<std::string>& cells) {
  add_line(table, cells);
  table += '|';
  for (std::size_t i = 0; i < cells.size(); ++i) table += "---|";
  table += '\n';
}

boost::json::value or_null(const std::optional<double>& figure) {
  return figure ? boost::json::value(*figure) : boost::json::value(nullptr);
}

/// What a row with this goal, or the lack of one, is to be held against.
void describe(const Goal& goal, boost::json::object& object) {
  object["name"] = goal.name;
  object["title"] = goal.what;
  object["against"] = goal.against;
  object["judged"] = goal.judged == Judged::ratio ? "ratio" : "value";
  object["good"] = goal.good == Good::at_least ? "at least" : "at most";
  object["goal"] = goal.goal;
  object["floor"] = goal.floor;
}

boost::json::object json_of(const Row& row) {
  boost::json::object object{{"name", row.name},
                             {"value", row.value},
                             {"unit", row.unit},
                             {"reference", or_null(row.reference)},
                             {"ratio", or_null(ratio_of_medians(row))},
                             {"rounds", row.rounds}};
  if (!row.figures.empty()) {
    object["figures"] = boost::json::value_from(row.figures);
    object["references"] = boost::json::value_from(row.references);
  }
  if (row.ratio) {
    object["ratio_min"] = row.ratio->min;
    object["ratio_max"] = row.ratio->max;
  }
  if (!row.note.empty()) object["note"] = row.note;
  const Goal* goal = find_goal(row.name);
  if (goal == nullptr) return object;
  describe(*goal, object);
  const auto figure = judged_figure(row, *goal);
  object["pass"] = figure && goal->meets(*figure, goal->goal);
  if (!row.other_size.empty()) {
    object["pass"] = nullptr;
    object["other_size"] = row.other_size;
  }
  return object;
}

}  // namespace

Row compared(std::string name, std::string unit, const std::vector<double>& ours,
             const std::vector<double>& reference, std::string note) {
  Row row;
  row.name = std::move(name);
  row.value = spread_of(ours).median;
  row.unit = std::move(unit);
  row.reference = spread_of(reference).median;
  row.ratio = ratio_of(ours, reference);
  row.rounds = static_cast<int>(ours.size());
  row.note = std::move(note);
  row.figures = ours;
  row.references = reference;
  return row;
}

std::optional<double> judged_figure(const Row& row, const Goal& goal) {
  return goal.judged == Judged::value ? row.value : ratio_of_medians(row);
}

std::string_view mark_of(double figure, const Goal& goal) {
  if (goal.meets(figure, goal.goal)) return "goal";
  return goal.meets(figure, goal.floor) ? "above floor" : "BELOW FLOOR";
}

std::string figure_text(double figure) {
  const double magnitude = std::abs(figure);
  // The general format would write large numbers with an exponent.
  return magnitude >= 1000 && magnitude < 1e15 ? fmt::format("{:.0f}", figure)
                                               : fmt::format("{:.4g}", figure);
}

void Report::add(Row row) {
  if (!finite(row)) return leave_out(row.name, "what was measured is no finite number");
  const Goal* goal = find_goal(row.name);
  const auto figure = goal != nullptr ? judged_figure(row, *goal) : std::nullopt;
  if (goal != nullptr && !figure) {
    return leave_out(row.name, "what it is compared with was not measured");
  }
  std::string line = fmt::format("{:32} {}", row.name, with_unit(row.value, row.unit));
  if (row.reference) line += ", reference " + with_unit(*row.reference, row.unit);
  if (ratio_of_medians(row)) line += ", ratio " + ratio_text(row);
  if (figure) line += fmt::format(": {}", mark_of(*figure, *goal));
  if (!row.note.empty()) line += fmt::format(" [{}]", row.note);
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  const auto same = std::ranges::find(rows_, row.name, &Row::name);
  if (same != rows_.end()) {
    *same = std::move(row);
  } else {
    rows_.push_back(std::move(row));
  }
}

void Report::leave_out(std::string what, std::string why) {
  std::printf("%-32s left out: %s\n", what.c_str(), why.c_str());
  std::fflush(stdout);
  gaps_.push_back({std::move(what), std::move(why)});
}

void Report::add_point(const std::string& plot, const std::string& series, double x, double y) {
  if (std::isfinite(x) && std::isfinite(y)) points_.push_back({plot, series, x, y});
}

void Report::name_axes(const std::string& plot, std::string x, std::string y) {
  axes_.push_back({plot, std::move(x), std::move(y)});
}

void Report::note_machine(std::string_view name, boost::json::value value) {
  machine_[name] = std::move(value);
}

const Row* Report::find_row(std::string_view name) const {
  const auto found = std::ranges::find(rows_, name, &Row::name);
  return found == rows_.end() ? nullptr : &*found;
}

std::vector<Report::Gap> Report::gaps() const {
  std::vector<Gap> all = gaps_;
  for (const Goal& goal : goals()) {
    const bool said = std::ranges::find(gaps_, goal.name, &Gap::what) != gaps_.end();
    if (!said && find_row(goal.name) == nullptr) {
      all.push_back({std::string(goal.name), "its section did not run"});
    }
  }
  return all;
}

boost::json::object Report::to_json() const {
  boost::json::array results;
  for (const Row& row : rows_) results.push_back(json_of(row));
  boost::json::array left_out;
  for (const Gap& gap : gaps()) {
    boost::json::object object{{"what", gap.what}, {"why", gap.why}};
    if (const Goal* goal = find_goal(gap.what)) describe(*goal, object);
    left_out.push_back(std::move(object));
  }
  return {{"machine", machine_}, {"results", results}, {"left_out", left_out}};
}

std::string Report::table() const {
  std::string table;
  add_heading(table, {"what", "against", "figure", "ratio", "goal", "floor", "reached"});
  const std::vector<Gap> all_gaps = gaps();
  for (const Goal& goal : goals()) {
    const Row* row = find_row(goal.name);
    std::string mark;
    if (row != nullptr) {
      mark = row->other_size.empty() ? std::string(mark_of(judged_figure(*row, goal).value(), goal))
                                     : "not judged: " + row->other_size;
    } else {
      mark = "not measured: " + std::ranges::find(all_gaps, goal.name, &Gap::what)->why;
    }
    add_line(table, {std::string(goal.what), std::string(goal.against),
                     row != nullptr ? with_unit(row->value, row->unit) : "",
                     row != nullptr ? ratio_text(*row) : "", goal_text(goal, row),
                     figure_text(goal.floor), mark});
  }
  std::string others;
  for (const Row& row : rows_) {
    if (find_goal(row.name) != nullptr) continue;
    if (others.empty()) add_heading(others, {"row", "figure", "reference", "ratio", "note"});
    add_line(others,
             {row.name, with_unit(row.value, row.unit),
              row.reference ? with_unit(*row.reference, row.unit) : "", ratio_text(row), row.note});
  }
  if (!others.empty()) table += "\n" + others;
  std::string notes;
  for (const Row& row : rows_) {
    if (find_goal(row.name) == nullptr || row.note.empty()) continue;
    notes += fmt::format("- {}: {}\n", find_goal(row.name)->what, row.note);
  }
  if (!notes.empty()) table += "\nNotes:\n" + notes;
  std::string left_out;
  for (const Gap& gap : gaps_) {
    if (find_goal(gap.what) != nullptr && find_row(gap.what) == nullptr) continue;  // is above
    left_out += fmt::format("- {}: {}\n", gap.what, gap.why);
  }
  if (!left_out.empty()) table += "\nLeft out:\n" + left_out;
  return table;
}

void Report::fail(std::string section, std::string why) {
  failed_ = true;
  leave_out(std::move(section), "it failed: " + std::move(why));
}

bool Report::acceptable() const {
  return !failed_ && std::ranges::all_of(rows_, [](const Row& row) {
    const Goal* goal = row.other_size.empty() ? find_goal(row.name) : nullptr;
    const auto figure = goal != nullptr ? judged_figure(row, *goal) : std::nullopt;
    return !figure || goal->meets(*figure, goal->floor);
  });
}

}  // namespace cairn::bench
