#pragma once
// What may be beside a trainer: saves, and of what a save does the writes alone and a busy core.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "report/save_stream.h"
#include "report/trainer_load.h"
#include "report/workloads.h"

namespace cairn::bench {

struct Neighbor {
  std::string suffix;  ///< of its rows' names; empty for the design's
  std::string what;    ///< for people
  /// Seconds of each step. Says what was saved, where its cost for each GB is asked for.
  std::function<std::vector<double>(SavesDone&)> steps_beside;
};

/// Steps of each thread in a turn, at least.
struct StepsBeside {
  std::size_t design = 0;  ///< beside the design's saves and a busy core
  std::size_t other = 0;   ///< beside other saves and writes
};

/// `kinds`, and what saves nothing. What they are made of lives longer.
[[nodiscard]] std::vector<Neighbor> neighbors_of(TrainerLoad& trainer, const StepsBeside& steps,
                                                 const std::vector<SaveKind>& kinds,
                                                 const Workload& state, SaveRoom& room);

}  // namespace cairn::bench
