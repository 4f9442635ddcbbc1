#pragma once
// The parts of measure_scale(): what grows with leaves, with bytes and with steps, and what that
// means for a larger machine.

#include <string>
#include <string_view>
#include <vector>

#include "report/context.h"
#include "report/report.h"
#include "report/thread_times.h"

namespace cairn::bench {

/// What one size cost, round by round.
struct SizeCosts {
  std::string name;  ///< "leaves_1000"
  double size = 0;
  std::vector<double> save{};      ///< seconds to durable
  std::vector<double> restore{};   ///< seconds
  std::vector<ThreadTimes> cpu{};  ///< of the saves
};
/// Units in which the costs of sizes are shown.
struct SizeUnits {
  std::string family;       ///< of the rows: "scale.leaf", which get "_save" and "_restore"
  std::string plot;         ///< "leaf_cost"
  std::string size_unit;    ///< what a slope is per: "leaf"
  std::string cost_unit;    ///< of a slope: "us"
  double slope_factor = 1;  ///< to that unit
};
/// A row and a point of the plot for each size, and the lines through them.
void add_size_costs(Report& report, const std::vector<SizeCosts>& costs, const SizeUnits& units);

/// CPU seconds of a save for each leaf, or for each GB.
struct SaveCpu {
  ThreadTimes per_leaf{};
  ThreadTimes per_gb{};
};

/// Rows leaf_cost, scale.leaves_N.*, scale.leaf_*; what a leaf costs each thread.
[[nodiscard]] ThreadTimes measure_leaves(const Context& context, Report& report);
/// Rows scale.mb_N.*, scale.gb_*; what a GB costs each thread.
[[nodiscard]] ThreadTimes measure_bytes(const Context& context, Report& report);
/// Rows list_steps, scale.steps_N.*, scale.managers.*.
void measure_steps(const Context& context, Report& report);
/// Rows one_leaf, scale.one_leaf.*.
void measure_one_leaf(const Context& context, Report& report);
/// Rows stage.* and scale16.*.
void measure_stages(const Context& context, const SaveCpu& save, Report& report);

}  // namespace cairn::bench
