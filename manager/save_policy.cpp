#include <cairn/manager/internal/argument_check.h>
#include <cairn/manager/internal/elapsed.h>
#include <cairn/manager/save_policy.h>

#include <algorithm>

namespace cairn {
namespace save_policy {

using Infos = std::span<const CheckpointInfo>;

FixedInterval::FixedInterval(std::int64_t interval) : interval_(interval) {
  internal::require_at_least<std::int64_t>("save_policy::FixedInterval", "interval", interval, 1);
}

bool FixedInterval::operator()(Step step, Infos, const SaveContext&) const {
  return step % interval_ == 0;
}

SpecificSteps::SpecificSteps(std::set<Step> steps) : steps_(std::move(steps)) {}

bool SpecificSteps::operator()(Step step, Infos, const SaveContext&) const {
  return steps_.contains(step);
}

Continuous::Continuous(std::optional<std::chrono::milliseconds> min_interval)
    : min_interval_(min_interval) {
  internal::require_not_negative("save_policy::Continuous", "min_interval", min_interval);
}

bool Continuous::operator()(Step, Infos previous, const SaveContext& context) const {
  if (context.is_saving_in_progress) return false;
  if (previous.empty() || !min_interval_) return true;
  const CheckpointInfo& newest = previous.back();
  const std::uint64_t interval = internal::to_ns(*min_interval_);
  if (newest.steady_ns)
    return internal::elapsed_ns(*newest.steady_ns, context.steady_ns) >= interval;
  return newest.time_ns > context.now_ns ||
         internal::elapsed_ns(newest.time_ns, context.now_ns) >= interval;
}

bool PreemptionSave::operator()(Step, Infos, const SaveContext& context) const {
  return context.reached_preemption;
}

bool InitialSave::operator()(Step, Infos previous, const SaveContext&) const {
  return previous.empty();
}

AnyOf::AnyOf(std::vector<SaveDecisionPolicy> policies) : policies_(std::move(policies)) {
  internal::require_functions("save_policy::AnyOf", policies_, "nothing would be saved");
}

bool AnyOf::operator()(Step step, Infos previous, const SaveContext& context) const {
  return std::ranges::any_of(
      policies_, [&](const SaveDecisionPolicy& policy) { return policy(step, previous, context); });
}

}  // namespace save_policy

SaveDecisionPolicy default_save_decision(SaveDecisionOptions options) {
  using namespace save_policy;  // NOLINT(google-build-using-namespace): a list of them
  internal::require_at_least<std::int64_t>("save decision", "save_interval_steps",
                                           options.save_interval_steps, 1);
  if (options.should_save_fn) {
    const auto ask = [fn = std::move(options.should_save_fn)](
                         Step step, std::span<const CheckpointInfo> previous, const SaveContext&) {
      return fn(step, previous.empty() ? std::nullopt : std::optional(previous.back().step));
    };
    return AnyOf({ask, PreemptionSave()});
  }
  return AnyOf({FixedInterval(options.save_interval_steps),
                SpecificSteps(std::move(options.save_on_steps)), PreemptionSave(), InitialSave()});
}

}  // namespace cairn
