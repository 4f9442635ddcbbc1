// The default policy, and how any policy is applied.

#include <cairn/manager/internal/argument_check.h>
#include <cairn/manager/preservation_policy.h>

#include <algorithm>
#include <functional>
#include <iterator>

namespace cairn {
namespace {

using Infos = std::span<const CheckpointInfo>;

/// Whether a policy may be shown the steps as they are.
bool are_sound(Infos infos) {
  return std::ranges::none_of(infos, &CheckpointInfo::damaged) &&
         std::ranges::is_sorted(infos, {}, &CheckpointInfo::time_ns);
}

/// One answer for each step, or an Error.
std::vector<bool> ask(const PreservationPolicy& policy, Infos infos) {
  constexpr const char* kWhere = "preservation policy";
  if (!policy) internal::refuse_argument(kWhere, "it is an empty function");
  if (std::ranges::adjacent_find(infos, std::greater_equal(), &CheckpointInfo::step) != infos.end())
    internal::refuse_argument(kWhere, "the steps that it shall judge do not ascend");
  std::vector<bool> answers;
  try {
    answers = policy(infos);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    internal::refuse_argument(kWhere, std::string("it threw: ") + error.what());
  } catch (...) {
    internal::refuse_argument(kWhere, "it threw an exception that is not a std::exception");
  }
  if (answers.size() == infos.size()) return answers;
  internal::refuse_argument(kWhere, "it gave " + std::to_string(answers.size()) + " answers for " +
                                        std::to_string(infos.size()) + " steps");
}

}  // namespace

PreservationPolicy default_preservation(PreservationOptions options) {
  using namespace preservation;  // NOLINT(google-build-using-namespace): a list of them
  constexpr const char* kWhere = "default preservation policy";
  internal::require_at_least<std::int64_t>(kWhere, "max_to_keep", options.max_to_keep, 0);
  internal::require_at_least<std::int64_t>(kWhere, "keep_period", options.keep_period, 1);
  internal::require_not_negative(kWhere, "keep_time_interval", options.keep_time_interval);
  std::vector<PreservationPolicy> policies;
  if (options.keep_period) policies.emplace_back(EveryNSteps(*options.keep_period));
  if (options.keep_time_interval) policies.emplace_back(EveryNSeconds(*options.keep_time_interval));
  if (options.best_fn) {
    policies.emplace_back(BestN(std::move(options.best_fn), options.best_mode == BestMode::min,
                                options.max_to_keep, options.keep_checkpoints_without_metrics));
  } else {
    policies.emplace_back(LatestN(options.max_to_keep));
  }
  return AnyOf(std::move(policies));
}

PreservationRules::PreservationRules(const PreservationOptions& options)
    : keep_latest(options.keep_latest),
      keep_nothing(options.max_to_keep == 0),
      ranked(static_cast<bool>(options.best_fn)) {}

void clamp_times(std::span<CheckpointInfo> infos) {
  for (std::size_t i = 1; i < infos.size(); ++i)
    infos[i].time_ns = std::max(infos[i].time_ns, infos[i - 1].time_ns);
}

PreservationVerdict preserve(const PreservationPolicy& policy, Infos infos,
                             const PreservationRules& rules) {
  PreservationVerdict verdict;
  verdict.keep.assign(infos.size(), true);
  std::vector<CheckpointInfo> copies;
  Infos good = infos;
  if (!are_sound(infos)) {
    std::ranges::copy_if(infos, std::back_inserter(copies), std::logical_not(),
                         &CheckpointInfo::damaged);
    clamp_times(copies);
    good = copies;
  }
  if (good.empty()) return verdict;
  std::vector<bool> answers;
  try {
    answers = ask(policy, good);
  } catch (const Error& error) {
    ErrorContext context = error.context();
    if (!context.remedy.empty()) context.remedy += ". ";
    context.remedy += "Every step is kept until this is mended";
    verdict.error.emplace(error.code(), error.reason(), std::move(context));
    return verdict;
  }
  const bool keeps_any = std::find(answers.begin(), answers.end(), true) != answers.end();
  const bool may_go = rules.keep_nothing || (rules.ranked && keeps_any);
  if (rules.keep_latest || !may_go) answers.back() = true;
  for (std::size_t i = 0, next = 0; i < infos.size(); ++i) {
    if (!infos[i].damaged) verdict.keep[i] = answers[next++];
  }
  return verdict;
}

}  // namespace cairn
