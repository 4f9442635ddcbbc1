#include "report/line.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace cairn::bench {

Line fit_line(const std::vector<SizePoint>& points) {
  double weights = 0;
  double sizes = 0;
  double costs = 0;
  for (const auto [size, cost] : points) {
    const double weight = 1 / (cost * cost);
    weights += weight;
    sizes += weight * size;
    costs += weight * cost;
  }
  double square = 0;
  double product = 0;
  for (const auto [size, cost] : points) {
    const double weight = 1 / (cost * cost);
    square += weight * (size - sizes / weights) * (size - sizes / weights);
    product += weight * (size - sizes / weights) * (cost - costs / weights);
  }
  if (points.size() < 2 || square <= 0)
    throw std::logic_error("a line through less than two sizes");
  Line line;
  line.slope = product / square;
  line.fixed = (costs - line.slope * sizes) / weights;
  for (const auto [size, cost] : points) {
    line.off = std::max(line.off, std::abs(line.fixed + line.slope * size - cost) / cost);
  }
  return line;
}

std::string describe(const Line& line) {
  const std::string percent = std::to_string(std::lround(line.off * 100)) + " % off it";
  return line.off <= kOffMax ? "a straight line: no point is more than " + percent
                             : "no straight line: a point is " + percent;
}

}  // namespace cairn::bench
