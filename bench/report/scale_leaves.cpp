// What a leaf costs: saves and restores of 1,000 to 100,000 leaves that have next to no bytes.

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "report/scale.h"
#include "report/tiny_state.h"

namespace cairn::bench {
namespace {

constexpr std::size_t kLeafCounts[] = {1'000, 3'000, 10'000, 30'000, 100'000};

/// Saves so many leaves as a step, reads them back.
void save_and_restore(CheckpointManager& manager, const ThreadClock& clock, Step step,
                      const TinyState& state, std::size_t leaves, SizeCosts& costs) {
  Tree tree = state.views(leaves);
  const ThreadTimes before = clock.now();
  const Stopwatch save;
  static_cast<void>(manager.save(step, std::move(tree)).get());
  costs.save.push_back(save.seconds());
  costs.cpu.push_back(clock.now() - before);
  const Stopwatch restore;
  const Restored restored = manager.restore(step).get();
  costs.restore.push_back(restore.seconds());
  for (const std::size_t leaf : {std::size_t{0}, leaves / 2, leaves - 1}) {
    if (!state.has(restored.tree(), leaf))
      throw std::runtime_error("restored another leaf " + TinyState::path_of(leaf));
  }
}

/// Of the largest size and the smallest: what is the same in both is not counted.
template <class Get>
Spread per_leaf(const std::vector<SizeCosts>& costs, Get get) {
  std::vector<double> all;
  const SizeCosts& few = costs.front();
  const SizeCosts& many = costs.back();
  for (std::size_t round = 0; round < few.save.size(); ++round)
    all.push_back((get(many, round) - get(few, round)) / (many.size - few.size));
  return spread_of(std::move(all));
}

}  // namespace

ThreadTimes measure_leaves(const Context& context, Report& report) {
  const WorkDirectory work(context.settings, "scale-leaves");
  const TinyState state(std::ranges::max(kLeafCounts), context.settings.seed);
  ManagerOptions options;
  options.engine = make_engine({});
  CheckpointManager manager((work / "root").string(), options);
  const ThreadClock clock(options.engine);
  Step step = 0;
  SizeCosts warm_up;
  save_and_restore(manager, clock, step++, state, std::ranges::max(kLeafCounts), warm_up);

  std::vector<SizeCosts> costs;
  for (const std::size_t leaves : kLeafCounts)
    costs.push_back({"leaves_" + std::to_string(leaves), static_cast<double>(leaves)});
  std::vector<Side> sides;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    sides.emplace_back(
        [&manager, &clock, &state, &step, &cost = costs[i], leaves = kLeafCounts[i]](int) {
          save_and_restore(manager, clock, step++, state, leaves, cost);
          return cost.save.back();
        });
  }
  const int rounds = context.settings.quick ? 3 : context.settings.rounds;
  static_cast<void>(take_turns(rounds, sides));
  manager.close().get();

  add_size_costs(report, costs, {"scale.leaf", "leaf_cost", "leaf", "us", 1e6});
  const Spread save = per_leaf(costs, [](const auto& of, auto i) { return of.save[i]; });
  report.add({.name = "leaf_cost",
              .value = save.median * 1e6,
              .unit = "us",
              .rounds = rounds,
              .note = fmt::format("time to durable of 100,000 leaves of 64 B less that of 1,000, "
                                  "per leaf; from {:.2f} to {:.2f}",
                                  save.min * 1e6, save.max * 1e6)});
  const auto cpu = [&costs](double ThreadTimes::*which) {
    return per_leaf(costs, [which](const auto& of, auto i) { return of.cpu[i].*which; }).median;
  };
  return {cpu(&ThreadTimes::ring), cpu(&ThreadTimes::strand), cpu(&ThreadTimes::others)};
}

}  // namespace cairn::bench
