#pragma once
// What the report is to show: a row for each number that the design promises, with its goal and its
// floor.

#include <span>
#include <string>
#include <string_view>

namespace cairn::bench {

/// What of a row is held against its goal.
enum class Judged : unsigned char { value, ratio };
/// Which side of a goal is good.
enum class Good : unsigned char { at_least, at_most };

struct Goal {
  std::string_view name;     ///< of its row, "save_raw"
  std::string_view what;     ///< for people
  std::string_view against;  ///< what it is compared with; empty: nothing
  Judged judged = Judged::ratio;
  Good good = Good::at_least;
  double goal = 0;
  double floor = 0;  ///< worse than this is not acceptable

  /// Whether `figure` is as good as `limit`, the goal or the floor.
  [[nodiscard]] constexpr bool meets(double figure, double limit) const noexcept {
    return good == Good::at_least ? figure >= limit : figure <= limit;
  }
};

/// All, in the order of the table.
[[nodiscard]] std::span<const Goal> goals();
/// The goal of that row; null: it is a figure without one.
[[nodiscard]] const Goal* find_goal(std::string_view name);

}  // namespace cairn::bench
