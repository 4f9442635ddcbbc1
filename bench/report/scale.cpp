#include "report/scale.h"

#include <fmt/format.h>

#include "report/line.h"

namespace cairn::bench {
namespace {

using Costs = std::vector<double> SizeCosts::*;

void add_line(Report& report, const std::vector<SizeCosts>& costs, Costs which,
              const std::string& what, const SizeUnits& units) {
  report.name_axes(units.plot, units.size_unit, "seconds");
  std::vector<SizePoint> points;
  for (const SizeCosts& one : costs) {
    points.push_back({one.size, spread_of(one.*which).median});
    report.add_point(units.plot, what, points.back().size, points.back().cost);
    report.add({.name = "scale." + one.name + "." + what,
                .value = points.back().cost,
                .unit = "s",
                .rounds = static_cast<int>((one.*which).size())});
  }
  if (points.size() < 2) return report.leave_out(units.family + "_" + what, "one size alone");
  const Line line = fit_line(points);
  report.add({.name = units.family + "_" + what,
              .value = line.slope * units.slope_factor,
              .unit = units.cost_unit + "/" + units.size_unit,
              .rounds = static_cast<int>((costs.front().*which).size()),
              .note = fmt::format("{}; the fixed part is {:.1f} ms",
                                  points.size() < 3 ? "of two sizes alone" : describe(line),
                                  line.fixed * 1e3)});
  if (points.size() < 3)
    return report.leave_out(units.family + "_" + what + "_off_line", "two sizes are always on one");
  report.add(
      {.name = units.family + "_" + what + "_off_line",
       .value = line.off * 100,
       .unit = "%",
       .note = fmt::format("the largest distance from the line, of {} sizes", points.size())});
}

}  // namespace

void add_size_costs(Report& report, const std::vector<SizeCosts>& costs, const SizeUnits& units) {
  add_line(report, costs, &SizeCosts::save, "save", units);
  add_line(report, costs, &SizeCosts::restore, "restore", units);
  for (const SizeCosts& one : costs) {
    std::vector<double> cpu;
    for (const ThreadTimes& times : one.cpu) cpu.push_back(times.total());
    report.add({.name = "scale." + one.name + ".save_cpu",
                .value = spread_of(cpu).median,
                .unit = "s",
                .rounds = static_cast<int>(cpu.size()),
                .note = "CPU time of the whole process"});
  }
}

void measure_scale(const Context& context, Report& report) {
  SaveCpu cpu;
  cpu.per_leaf = measure_leaves(context, report);
  cpu.per_gb = measure_bytes(context, report);
  measure_steps(context, report);
  measure_one_leaf(context, report);
  measure_stages(context, cpu, report);
}

}  // namespace cairn::bench
