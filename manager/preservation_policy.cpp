#include <cairn/manager/internal/argument_check.h>
#include <cairn/manager/internal/elapsed.h>
#include <cairn/manager/preservation_policy.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <map>
#include <string>
#include <utility>

namespace cairn::preservation {
namespace {

using Infos = std::span<const CheckpointInfo>;
using Limit = std::optional<std::int64_t>;

/// The last `limit` of what is kept; the rest is not.
void keep_last(std::vector<bool>& keep, Limit limit) {
  if (!limit) return;
  std::int64_t left = *limit;
  for (std::size_t i = keep.size(); i-- > 0;) {
    if (keep[i] && left-- <= 0) keep[i] = false;
  }
}

/// Greedy: the first, and each that is `far_enough(last kept, it)`.
template <class FarEnough>
std::vector<bool> keep_spaced(Infos infos, const FarEnough& far_enough) {
  std::vector<bool> keep;
  const CheckpointInfo* last = nullptr;
  for (const CheckpointInfo& info : infos) {
    keep.push_back(last == nullptr || far_enough(*last, info));
    if (keep.back()) last = &info;
  }
  return keep;
}

/// The multiple of an interval that a step is counted for, and how far away it is.
struct Nearest {
  std::int64_t multiple;  ///< in intervals
  std::int64_t distance;  ///< in steps
};
Nearest nearest_multiple(Step step, std::int64_t interval) {
  const std::int64_t below = step / interval;
  const std::int64_t past = step % interval;
  const std::int64_t missing = interval - past;
  if (past == missing) return {below + below % 2, past};  // halfway: as Python's round()
  return past < missing ? Nearest{below, past} : Nearest{below + 1, missing};
}

constexpr std::size_t kNamesInErrors = 10;

/// The number of a step; what the function throws seldom says what it was shown.
std::optional<double> ranking_number(const CheckpointInfo& info, const MetricFn& metric_fn) {
  try {
    return score(info, metric_fn);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    std::string names;
    std::size_t left = kNamesInErrors;
    for (const auto& metric : *info.metrics) {
      names += (names.empty() ? "" : ", ");
      if (left-- == 0) {
        names += "...";
        break;
      }
      names += boost::json::serialize(boost::json::string(metric.key()));
    }
    internal::refuse_argument("preservation::BestN",
                              std::string("its function threw: ") + error.what() + "; step " +
                                  std::to_string(info.step) + " has the metrics " +
                                  (names.empty() ? "{}" : names));
  }
}

}  // namespace

std::vector<bool> PreserveAll::operator()(Infos infos) const {
  return std::vector<bool>(infos.size(), true);
}

LatestN::LatestN(Limit n) : n_(n) {
  internal::require_at_least<std::int64_t>("preservation::LatestN", "n", n, 0);
}

std::vector<bool> LatestN::operator()(Infos infos) const {
  std::vector<bool> keep(infos.size(), true);
  keep_last(keep, n_);
  return keep;
}

EveryNSeconds::EveryNSeconds(std::chrono::milliseconds interval) : interval_(interval) {
  internal::require_not_negative("preservation::EveryNSeconds", "interval", interval);
}

std::vector<bool> EveryNSeconds::operator()(Infos infos) const {
  const std::uint64_t interval = internal::to_ns(interval_);
  return keep_spaced(infos, [interval](const CheckpointInfo& last, const CheckpointInfo& info) {
    return internal::elapsed_ns(last.time_ns, info.time_ns) >= interval;
  });
}

EveryNSteps::EveryNSteps(std::int64_t interval, bool exact, Limit max_to_keep)
    : interval_(interval), exact_(exact), max_to_keep_(max_to_keep) {
  constexpr const char* kWhere = "preservation::EveryNSteps";
  internal::require_at_least<std::int64_t>(kWhere, "interval", interval, 1);
  internal::require_at_least<std::int64_t>(kWhere, "max_to_keep", max_to_keep, 0);
}

std::vector<bool> EveryNSteps::operator()(Infos infos) const {
  std::vector<bool> keep;
  if (exact_) {
    for (const CheckpointInfo& info : infos) keep.push_back(info.step % interval_ == 0);
  } else {
    keep = keep_spaced(infos, [this](const CheckpointInfo& last, const CheckpointInfo& info) {
      return info.step - last.step >= interval_;
    });
  }
  keep_last(keep, max_to_keep_);
  return keep;
}

EveryNStepsClosest::EveryNStepsClosest(std::int64_t interval, Limit max_to_keep)
    : interval_(interval), max_to_keep_(max_to_keep) {
  constexpr const char* kWhere = "preservation::EveryNStepsClosest";
  internal::require_at_least<std::int64_t>(kWhere, "interval", interval, 1);
  internal::require_at_least<std::int64_t>(kWhere, "max_to_keep", max_to_keep, 0);
}

std::vector<bool> EveryNStepsClosest::operator()(Infos infos) const {
  struct Choice {
    std::size_t place;
    std::int64_t distance;
  };
  std::map<std::int64_t, Choice> choices;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const Nearest nearest = nearest_multiple(infos[i].step, interval_);
    const Choice choice{i, nearest.distance};
    const auto [held, is_first] = choices.try_emplace(nearest.multiple, choice);
    if (!is_first && choice.distance <= held->second.distance) held->second = choice;
  }
  std::vector<bool> keep(infos.size(), false);
  for (const auto& [multiple, choice] : choices) keep[choice.place] = true;
  if (!keep.empty()) keep.back() = true;
  keep_last(keep, max_to_keep_);
  return keep;
}

CustomSteps::CustomSteps(std::set<Step> steps) : steps_(std::move(steps)) {}

std::vector<bool> CustomSteps::operator()(Infos infos) const {
  std::vector<bool> keep;
  for (const CheckpointInfo& info : infos) keep.push_back(steps_.contains(info.step));
  return keep;
}

BestN::BestN(MetricFn metric_fn, bool reverse, Limit n, bool keep_without_metrics)
    : metric_fn_(std::move(metric_fn)),
      reverse_(reverse),
      n_(n),
      keep_without_metrics_(keep_without_metrics) {
  constexpr const char* kWhere = "preservation::BestN";
  internal::require_at_least<std::int64_t>(kWhere, "n", n, 0);
  if (!metric_fn_) internal::refuse_argument(kWhere, "metric_fn is an empty function");
}

std::vector<bool> BestN::operator()(Infos infos) const {
  if (!n_ || std::cmp_less_equal(infos.size(), *n_)) return std::vector<bool>(infos.size(), true);
  std::vector<bool> keep(infos.size(), false);
  if (*n_ == 0) return keep;
  struct Ranked {
    std::size_t place;
    double score;
  };
  std::vector<Ranked> ranked;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    if (const std::optional<double> number = ranking_number(infos[i], metric_fn_)) {
      ranked.push_back({i, *number});
    } else {
      keep[i] = keep_without_metrics_;
    }
  }
  // Stable, and the best come last: of equal ones the later are kept.
  std::ranges::stable_sort(ranked, [this](const Ranked& a, const Ranked& b) {
    return reverse_ ? a.score > b.score : a.score < b.score;
  });
  const std::size_t kept = std::min(ranked.size(), static_cast<std::size_t>(*n_));
  for (std::size_t i = ranked.size() - kept; i < ranked.size(); ++i) keep[ranked[i].place] = true;
  return keep;
}

LatestDuration::LatestDuration(std::chrono::milliseconds duration) : duration_(duration) {
  internal::require_not_negative("preservation::LatestDuration", "duration", duration);
}

std::vector<bool> LatestDuration::operator()(Infos infos) const {
  const std::uint64_t duration = internal::to_ns(duration_);
  std::vector<bool> keep;
  for (const CheckpointInfo& info : infos) {
    const bool follows = !keep.empty() && keep.back();
    keep.push_back(follows || internal::elapsed_ns(info.time_ns, infos.back().time_ns) <= duration);
  }
  return keep;
}

AnyOf::AnyOf(std::vector<PreservationPolicy> policies) : policies_(std::move(policies)) {
  internal::require_functions("preservation::AnyOf", policies_, "nothing would be kept");
}

std::vector<bool> AnyOf::operator()(Infos infos) const {
  std::vector<bool> keep(infos.size(), false);
  for (std::size_t p = 0; p < policies_.size(); ++p) {
    const std::vector<bool> answers = policies_[p](infos);
    if (answers.size() != infos.size()) {
      internal::refuse_argument("preservation::AnyOf",
                                "policy " + std::to_string(p + 1) + " of " +
                                    std::to_string(policies_.size()) + " gave " +
                                    std::to_string(answers.size()) + " answers for " +
                                    std::to_string(infos.size()) + " steps");
    }
    for (std::size_t i = 0; i < keep.size(); ++i) keep[i] = keep[i] || answers[i];
  }
  return keep;
}

}  // namespace cairn::preservation
