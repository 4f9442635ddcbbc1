// What a root with very many steps costs: opening it, listing it, saving into it, restoring from
// it; and what managers cost that are opened and closed again. The steps are hard links to the
// files of one that was saved.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "report/line.h"
#include "report/linked_steps.h"
#include "report/scale.h"

namespace cairn::bench {
namespace {

constexpr Step kStepCounts[] = {1'000, 3'000, 10'000};
constexpr Step kMostSteps = std::ranges::max(kStepCounts);
constexpr int kManagers = 200;

/// The median of some rounds.
double median_seconds(int rounds, const std::function<void()>& call) {
  std::vector<double> all;
  for (int round = 0; round < rounds; ++round) {
    const Stopwatch watch;
    call();
    all.push_back(watch.seconds());
  }
  return spread_of(std::move(all)).median;
}

Tree small_state(Step step) {
  return Tree(Dict{{"step", Tree(step)}, {"w", Tree(Array(DType::float32, {256}))}});
}

void save_first(const std::string& root, const ManagerOptions& options) {
  CheckpointManager manager(root, options);
  static_cast<void>(manager.save(0, small_state(0)).get());
}

class StepCosts {
 public:
  StepCosts(const Context& context, Report& report)
      : work_(context.settings, "scale-steps"),
        root_((work_ / "root").string()),
        steps_(root_),
        rounds_(context.settings.quick ? 3 : std::clamp(context.settings.rounds, 5, 25)),
        report_(report) {
    options_.engine = make_engine({});
    save_first(root_, options_);
  }

  void measure_lists() {
    report_.name_axes("step_lists", "steps", "seconds");
    std::vector<SizePoint> points;
    for (const Step steps : kStepCounts) {
      steps_.grow_to(steps);
      const CheckpointManager manager(root_, options_);
      const double seconds =
          median_seconds(5 * rounds_, [&] { static_cast<void>(manager.all_steps(true)); });
      points.push_back({static_cast<double>(steps), seconds});
      report_.add_point("step_lists", "names", points.back().size, seconds);
      add("scale.steps_" + std::to_string(steps) + ".list", seconds * 1e3, "ms", 5 * rounds_);
    }
    const Line line = fit_line(points);
    report_.add({.name = "scale.step_list_off_line",
                 .value = line.off * 100,
                 .unit = "%",
                 .note = describe(line) + ", of 3 sizes"});
    report_.add({.name = "list_steps",
                 .value = points.back().cost * 1e3,
                 .unit = "ms",
                 .rounds = 5 * rounds_,
                 .note = fmt::format("all_steps(true) of {} steps; {:.2f} us a step",
                                     points.back().size, line.slope * 1e6)});
  }

  /// In the root with the most steps.
  void measure_root() {
    const std::string name = "scale.steps_" + std::to_string(kMostSteps) + ".";
    add(name + "open", ms([&] { CheckpointManager(root_, options_); }));
    ManagerOptions judging = options_;  // these rules ask for each step's metadata
    judging.max_to_keep = kMostSteps;
    judging.keep_time_interval = std::chrono::hours(1);
    add(name + "open_reading_metadata", ms([&] { CheckpointManager(root_, judging); }));

    CheckpointManager manager(root_, judging);
    add(name + "reload", ms([&] { manager.reload(); }));
    constexpr int kCalls = 1000;
    const double latest = ms([&] {
      for (int i = 0; i < kCalls; ++i) static_cast<void>(manager.latest_step());
    });
    add(name + "latest_step", latest * 1000 / kCalls, "us", rounds_);
    add(name + "restore_latest", ms([&] { static_cast<void>(manager.restore().get()); }));
    Step next = kMostSteps;
    const double save = ms([&] {
      static_cast<void>(manager.save(next, small_state(next)).get());
      ++next;
      manager.wait_until_finished().get();
    });
    add(name + "save", save, "ms", rounds_, "each pushes the oldest step out, which is deleted");
  }

  void measure_managers() {
    const std::string root = (work_ / "one").string();
    save_first(root, options_);
    const auto open_all = [&](bool own_engine) {
      const Stopwatch watch;
      for (int i = 0; i < kManagers; ++i) {
        ManagerOptions options = options_;
        if (own_engine) options.engine = make_engine({});
        CheckpointManager(root, options);
      }
      return watch.seconds() * 1e3 / kManagers;
    };
    add("scale.manager_open_close", open_all(false), "ms", kManagers);
    add("scale.manager_open_close_own_engine", open_all(true), "ms", kManagers);
  }

 private:
  double ms(const std::function<void()>& call) { return median_seconds(rounds_, call) * 1e3; }
  void add(std::string name, double value, std::string unit, int rounds, std::string note = {}) {
    report_.add({.name = std::move(name),
                 .value = value,
                 .unit = std::move(unit),
                 .rounds = rounds,
                 .note = std::move(note)});
  }
  void add(std::string name, double value_ms) { add(std::move(name), value_ms, "ms", rounds_); }

  WorkDirectory work_;
  std::string root_;
  LinkedSteps steps_;
  int rounds_;
  Report& report_;
  ManagerOptions options_;
};

}  // namespace

void measure_steps(const Context& context, Report& report) {
  StepCosts costs(context, report);
  costs.measure_lists();
  costs.measure_root();
  costs.measure_managers();
}

}  // namespace cairn::bench
