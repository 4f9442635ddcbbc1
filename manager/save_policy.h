#pragma once
// When a step is saved. A policy is a function of the step, of the steps that are there and of the
// situation; any lambda will do. Those named here are Orbax's (save_decision_policy.py). They are
// values: to copy, to keep, to call from any thread. Constructors throw Error(invalid_argument).
//
//   options.save_decision_policy = [](Step step, std::span<const CheckpointInfo> previous,
//                                     const SaveContext& context) {
//     return context.reached_preemption || previous.empty() || step % 100 == 0;
//   };

#include <cairn/export.h>
#include <cairn/manager/checkpoint_info.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace cairn {

/// The situation in which a policy decides (Orbax: DecisionContext).
struct SaveContext {
  SaveContext() = default;
  bool is_saving_in_progress = false;
  bool reached_preemption = false;  ///< every process has agreed to save this step before the end
  std::int64_t now_ns = 0;          ///< the engine's clock, ns since the Unix epoch
  std::int64_t steady_ns = 0;       ///< its steady time
};

/// Whether to save a step. `previous`: the steps that are listed, ascending, saves under way
/// included (Orbax: SaveDecisionPolicy).
using SaveDecisionPolicy =
    std::function<bool(Step, std::span<const CheckpointInfo> previous, const SaveContext&)>;
/// Orbax's should_save_fn: the step, and the latest step that is listed.
using ShouldSaveFn = std::function<bool(Step, std::optional<Step>)>;

namespace save_policy {

/// Every step that `interval` divides; < 1 is refused (Orbax: FixedIntervalPolicy).
class CAIRN_EXPORT FixedInterval {
 public:
  explicit FixedInterval(std::int64_t interval);
  bool operator()(Step step, std::span<const CheckpointInfo> previous,
                  const SaveContext& context) const;

 private:
  std::int64_t interval_;
};

/// These steps (Orbax: SpecificStepsPolicy).
class CAIRN_EXPORT SpecificSteps {
 public:
  explicit SpecificSteps(std::set<Step> steps);
  bool operator()(Step step, std::span<const CheckpointInfo> previous,
                  const SaveContext& context) const;

 private:
  std::set<Step> steps_;
};

/// Whenever no save is running and at least `min_interval` has passed since the newest step's (< 0
/// is refused); at once where there is none (Orbax: ContinuousCheckpointingPolicy). Time is steady
/// where this process saved that step, else the difference of stamps; a stamp in the future is a
/// clock that was set back, and does not hold a save up. Processes may answer differently: one has
/// to decide for all.
class CAIRN_EXPORT Continuous {
 public:
  explicit Continuous(std::optional<std::chrono::milliseconds> min_interval = std::nullopt);
  bool operator()(Step step, std::span<const CheckpointInfo> previous,
                  const SaveContext& context) const;

 private:
  std::optional<std::chrono::milliseconds> min_interval_;
};

/// The step to save before the job ends (Orbax: PreemptionCheckpointingPolicy).
class CAIRN_EXPORT PreemptionSave {
 public:
  bool operator()(Step step, std::span<const CheckpointInfo> previous,
                  const SaveContext& context) const;
};

/// Any step while there is none (Orbax: InitialSavePolicy).
class CAIRN_EXPORT InitialSave {
 public:
  bool operator()(Step step, std::span<const CheckpointInfo> previous,
                  const SaveContext& context) const;
};

/// Where one of these says so; they are asked in order, up to the first that does. An empty list
/// and an empty function are refused (Orbax: AnySavePolicy).
class CAIRN_EXPORT AnyOf {
 public:
  explicit AnyOf(std::vector<SaveDecisionPolicy> policies);
  bool operator()(Step step, std::span<const CheckpointInfo> previous,
                  const SaveContext& context) const;

 private:
  std::vector<SaveDecisionPolicy> policies_;
};

}  // namespace save_policy

/// What default_save_decision() is made of; the names are those of the manager's options.
struct SaveDecisionOptions {
  SaveDecisionOptions() = default;
  std::int64_t save_interval_steps = 1;
  std::set<Step> save_on_steps;
  ShouldSaveFn should_save_fn;
};
/// With a should_save_fn: where it says so, or before the job ends. Else any of the interval, the
/// given steps, the end of the job, and the first step of all. Throws Error(invalid_argument).
[[nodiscard]] CAIRN_EXPORT SaveDecisionPolicy default_save_decision(SaveDecisionOptions options);

}  // namespace cairn
