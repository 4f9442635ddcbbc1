#pragma once
// Whether costs grow as sizes do.

#include <string>
#include <vector>

namespace cairn::bench {

struct SizePoint {
  double size = 0;  ///< > 0
  double cost = 0;  ///< > 0
};

/// cost = fixed + slope * size.
struct Line {
  double fixed = 0;
  double slope = 0;
  double off = 0;  ///< the largest distance of a point from the line, as a share of the point
};
/// A point that is further off than this is not on a straight line: disks drift by a quarter.
inline constexpr double kOffMax = 0.25;

/// Least squares of the distances as shares of the points, so that small sizes count as large ones
/// do. At least two points of different sizes; std::logic_error otherwise.
[[nodiscard]] Line fit_line(const std::vector<SizePoint>& points);
/// "a straight line: no point is more than 4 % off it".
[[nodiscard]] std::string describe(const Line& line);

}  // namespace cairn::bench
