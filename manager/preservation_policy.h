#pragma once
// Which steps are kept. A policy answers for all steps at once; any lambda will do. Those named
// here are Orbax's (preservation_policy.py). They are values: to copy, to keep, to call from any
// thread. Constructors throw Error(invalid_argument). The manager asks through preserve(), which
// makes times grow with the step number and does not let a policy lose everything.
//
//   options.preservation_policy = [](std::span<const CheckpointInfo> infos) {
//     std::vector<bool> keep(infos.size());
//     for (std::size_t i = 0; i < infos.size(); ++i) keep[i] = infos[i].step % 1000 == 0;
//     return keep;
//   };

#include <cairn/export.h>
#include <cairn/manager/checkpoint_info.h>
#include <cairn/manager/error.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace cairn {

/// For steps in ascending order, one answer each: whether to keep it (Orbax: PreservationPolicy).
/// The last one may be the step that is being saved; if it is not kept, it goes after its commit.
using PreservationPolicy = std::function<std::vector<bool>(std::span<const CheckpointInfo>)>;

namespace preservation {

/// Every step (Orbax: PreserveAll).
class CAIRN_EXPORT PreserveAll {
 public:
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;
};

/// The last `n`; none: all (Orbax: LatestN). n < 0 is refused.
class CAIRN_EXPORT LatestN {
 public:
  explicit LatestN(std::optional<std::int64_t> n = std::nullopt);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  std::optional<std::int64_t> n_;
};

/// The oldest step, and then each that was committed at least `interval` after the one kept before
/// it (Orbax: EveryNSeconds). interval < 0 is refused, 0 keeps all.
class CAIRN_EXPORT EveryNSeconds {
 public:
  explicit EveryNSeconds(std::chrono::milliseconds interval);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  std::chrono::milliseconds interval_;
};

/// Steps that `interval` divides; with `exact` off, the oldest step and then each that is at least
/// `interval` above the one kept before it. Of those the last `max_to_keep`; none: all (Orbax:
/// EveryNSteps). interval < 1 and max_to_keep < 0 are refused; max_to_keep 0 keeps none, where
/// Orbax would keep all.
class CAIRN_EXPORT EveryNSteps {
 public:
  explicit EveryNSteps(std::int64_t interval, bool exact = true,
                       std::optional<std::int64_t> max_to_keep = std::nullopt);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  std::int64_t interval_;
  bool exact_;
  std::optional<std::int64_t> max_to_keep_;
};

/// For each multiple of `interval` the nearest of the steps that are nearer to it than to any other
/// multiple, the later of two; and the last step. A step halfway between two multiples is counted
/// for the even one. `max_to_keep` and what is refused: as EveryNSteps (Orbax: EveryNStepsClosest).
class CAIRN_EXPORT EveryNStepsClosest {
 public:
  explicit EveryNStepsClosest(std::int64_t interval,
                              std::optional<std::int64_t> max_to_keep = std::nullopt);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  std::int64_t interval_;
  std::optional<std::int64_t> max_to_keep_;
};

/// These steps (Orbax: CustomSteps).
class CAIRN_EXPORT CustomSteps {
 public:
  explicit CustomSteps(std::set<Step> steps);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  std::set<Step> steps_;
};

/// The `n` steps with the largest numbers, or the smallest where `reverse`; of equal ones the later
/// (Orbax: BestN). All while there are at most `n` steps, or n is none; none where n is 0.
/// Otherwise steps without a number (no metrics, NaN) are kept besides, or all go where
/// `keep_without_metrics` is off. n < 0 and an empty function are refused.
class CAIRN_EXPORT BestN {
 public:
  explicit BestN(MetricFn metric_fn, bool reverse = false,
                 std::optional<std::int64_t> n = std::nullopt, bool keep_without_metrics = true);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  MetricFn metric_fn_;
  bool reverse_;
  std::optional<std::int64_t> n_;
  bool keep_without_metrics_;
};

/// The first step that is not older than `duration`, and all after it (Orbax: LatestDuration).
/// Ages are counted from the newest step, not from now: a run that stood still for a week
/// still has its last day. duration < 0 is refused.
class CAIRN_EXPORT LatestDuration {
 public:
  explicit LatestDuration(std::chrono::milliseconds duration);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  std::chrono::milliseconds duration_;
};

/// What one of these keeps (Orbax: AnyPreservationPolicy). An empty list and an empty function are
/// refused; a policy that gives the wrong number of answers is an Error(invalid_argument) that
/// names it.
class CAIRN_EXPORT AnyOf {
 public:
  explicit AnyOf(std::vector<PreservationPolicy> policies);
  std::vector<bool> operator()(std::span<const CheckpointInfo> infos) const;

 private:
  std::vector<PreservationPolicy> policies_;
};

}  // namespace preservation

/// What the default policy is made of; the names are those of the manager's options.
struct PreservationOptions {
  PreservationOptions() = default;
  std::optional<std::int64_t> max_to_keep;
  std::optional<std::chrono::milliseconds> keep_time_interval;
  std::optional<std::int64_t> keep_period;
  MetricFn best_fn;
  BestMode best_mode = BestMode::max;
  bool keep_checkpoints_without_metrics = true;
  bool keep_latest = false;
};
/// What any of these keeps: EveryNSteps(keep_period), EveryNSeconds(keep_time_interval), and
/// BestN(max_to_keep) with a best_fn, LatestN(max_to_keep) without. So what the first two
/// keep counts in max_to_keep too. Throws Error(invalid_argument) that names the option.
[[nodiscard]] CAIRN_EXPORT PreservationPolicy default_preservation(PreservationOptions options);

/// When the newest step may go. As constructed, for a policy of the user's own: never.
struct PreservationRules {
  PreservationRules() = default;
  /// Of the default policy: with max_to_keep 0 it may go, with best_fn where a better one is kept,
  /// with keep_latest never.
  CAIRN_EXPORT explicit PreservationRules(const PreservationOptions& options);
  bool keep_latest = false;   ///< it stays, whatever follows
  bool keep_nothing = false;  ///< max_to_keep is 0 in so many words: it may go
  bool ranked = false;        ///< it may go where the policy keeps another one
};

/// Which steps stay.
struct PreservationVerdict {
  PreservationVerdict() = default;
  std::vector<bool> keep;      ///< one for each step
  std::optional<Error> error;  ///< why the policy was not followed; every step is kept then
};
/// Makes times grow with the step number: a stamp before an earlier step's is raised to it. A
/// clock that was set back thus makes later steps look as if saved at the same moment, until it has
/// caught up.
CAIRN_EXPORT void clamp_times(std::span<CheckpointInfo> infos);
/// Applies a policy to all listed steps, ascending, the one being saved included. Damaged steps are
/// kept and not shown to the policy, so that none takes the place of a good one; times are clamped;
/// the newest good step stays unless `rules` let it go. Never throws (bad_alloc aside): if
/// the policy does, or miscounts, every step is kept and the error says why.
[[nodiscard]] CAIRN_EXPORT PreservationVerdict preserve(const PreservationPolicy& policy,
                                                        std::span<const CheckpointInfo> infos,
                                                        const PreservationRules& rules = {});

}  // namespace cairn
