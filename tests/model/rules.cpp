#include "model/rules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace cairn::model {
namespace {

/// A step that may be judged.
struct Row {
  Step step;
  std::int64_t time_ns;  ///< grows with the step
  std::optional<double> score{};
};
using Rows = std::vector<Row>;

/// Keeps the first, and each that is `far` from the one kept before.
template <class Far>
std::set<Step> spaced(const Rows& rows, const Far& far) {
  std::set<Step> kept;
  const Row* last = nullptr;
  for (const Row& row : rows) {
    if (last != nullptr && !far(*last, row)) continue;
    last = &row;
    kept.insert(row.step);
  }
  return kept;
}

std::set<Step> among_best(const Rows& rows, const KeepRule& rule) {
  std::set<Step> kept;
  const bool all = !rule.limit || static_cast<std::int64_t>(rows.size()) <= *rule.limit;
  for (const Row& row : rows) {
    std::int64_t better = 0;
    for (const Row& other : rows) {
      if (!row.score || !other.score || other.step == row.step) continue;
      const double ahead = (*other.score - *row.score) * (rule.smallest ? -1 : 1);
      if (ahead > 0 || (ahead == 0 && other.step > row.step)) ++better;
    }
    const bool ranked = row.score ? better < *rule.limit : rule.without_metrics && rule.limit != 0;
    if (all || ranked) kept.insert(row.step);
  }
  return kept;
}

/// The multiple that a step is counted for: the nearest, of two the even one.
std::int64_t multiple_of(Step step, std::int64_t n) {
  const double exact = static_cast<double>(step) / static_cast<double>(n);
  return static_cast<std::int64_t>(std::nearbyint(exact));
}

std::set<Step> closest(const Rows& rows, std::int64_t n) {
  std::set<Step> kept;
  for (const Row& row : rows) {
    const std::int64_t multiple = multiple_of(row.step, n);
    const auto distance = [&](const Row& r) { return std::abs(r.step - multiple * n); };
    const bool beaten = std::ranges::any_of(rows, [&](const Row& other) {
      if (multiple_of(other.step, n) != multiple) return false;
      return distance(other) < distance(row) ||
             (distance(other) == distance(row) && other.step > row.step);
    });
    if (!beaten) kept.insert(row.step);
  }
  kept.insert(rows.back().step);
  return kept;
}

std::set<Step> last_of(std::set<Step> kept, std::optional<std::int64_t> limit) {
  while (limit && static_cast<std::int64_t>(kept.size()) > *limit) kept.erase(kept.begin());
  return kept;
}

/// What is kept of steps in ascending order, at least one.
std::set<Step> kept_by(const KeepRule& rule, const Rows& rows) {
  std::set<Step> kept;
  const auto keep_if = [&](const auto& keeps) {
    for (const Row& row : rows)
      if (keeps(row)) kept.insert(row.step);
    return kept;
  };
  switch (rule.kind) {
    case KeepRule::Kind::all:
      return keep_if([](const Row&) { return true; });
    case KeepRule::Kind::latest:
      return last_of(keep_if([](const Row&) { return true; }), rule.limit);
    case KeepRule::Kind::seconds:
      return spaced(rows, [&](const Row& last, const Row& row) {
        return row.time_ns - last.time_ns >= rule.n * kMsNs;
      });
    case KeepRule::Kind::every:
      return last_of(keep_if([&](const Row& row) { return row.step % rule.n == 0; }), rule.limit);
    case KeepRule::Kind::spaced:
      return last_of(
          spaced(rows, [&](const Row& a, const Row& b) { return b.step - a.step >= rule.n; }),
          rule.limit);
    case KeepRule::Kind::closest:
      return last_of(closest(rows, rule.n), rule.limit);
    case KeepRule::Kind::listed:
      return keep_if([&](const Row& row) { return rule.steps.contains(row.step); });
    case KeepRule::Kind::best:
      return among_best(rows, rule);
    case KeepRule::Kind::duration:
      return keep_if(
          [&](const Row& row) { return rows.back().time_ns - row.time_ns <= rule.n * kMsNs; });
  }
  return kept;
}

/// "any(EveryNSteps(keep_period)?, EveryNSeconds(keep_time_interval)?,
///      best_fn ? BestN(max_to_keep) : LatestN(max_to_keep))"
std::vector<KeepRule> default_keeping(const Settings& settings) {
  std::vector<KeepRule> rules(1);
  rules[0].kind = settings.best == Best::none ? KeepRule::Kind::latest : KeepRule::Kind::best;
  rules[0].limit = settings.max_to_keep;
  rules[0].smallest = settings.best == Best::min;
  rules[0].without_metrics = settings.without_metrics;
  if (settings.keep_period) rules.push_back({KeepRule::Kind::every, *settings.keep_period});
  if (settings.keep_ms) rules.push_back({KeepRule::Kind::seconds, *settings.keep_ms});
  return rules;
}

std::optional<double> score_of(const Known& known) {
  return known.loss == kNoScore ? std::nullopt : known.loss;
}

bool wanted_by(const SaveRule& rule, const Moment& moment) {
  switch (rule.kind) {
    case SaveRule::Kind::interval:
      return moment.step % rule.n == 0;
    case SaveRule::Kind::listed:
      return rule.steps.contains(moment.step);
    case SaveRule::Kind::continuous:
      if (moment.saving) return false;
      return !moment.newest || rule.n < 0 || moment.newest_ns > moment.now_ns ||
             moment.now_ns - moment.newest_ns >= rule.n * kMsNs;
    case SaveRule::Kind::preemption:
      return moment.last;
    case SaveRule::Kind::initial:
      return !moment.newest;
  }
  return false;
}

}  // namespace

std::vector<Step> losers_of(const KnownSteps& steps, const Settings& settings) {
  const bool own = !settings.keep_rules.empty();
  if (!own && !settings.max_to_keep) return {};
  const bool asks = own || settings.keep_ms || settings.best != Best::none;
  Rows good;  // damaged steps are kept, and nobody judges them
  std::int64_t time = std::numeric_limits<std::int64_t>::min();
  for (const auto& [step, known] : steps) {
    if (known.damaged || (known.unread && asks)) continue;
    time = std::max(time, known.time_ns);  // times grow with the step
    good.push_back({step, time, score_of(known)});
  }
  if (good.empty()) return {};
  std::set<Step> kept;
  for (const KeepRule& rule : own ? settings.keep_rules : default_keeping(settings))
    kept.merge(kept_by(rule, good));
  const bool ranked = !own && settings.best != Best::none && !kept.empty();
  const bool newest_may_go = !own && (settings.max_to_keep == 0 || ranked);
  if (settings.keep_latest || !newest_may_go) kept.insert(good.back().step);
  std::vector<Step> lost;
  for (const Row& row : good)
    if (!kept.contains(row.step)) lost.push_back(row.step);
  return lost;
}

std::optional<Step> best_of(const KnownSteps& steps, Best which) {
  std::optional<Step> best;
  double best_score = 0;
  for (const auto& [step, known] : steps) {
    const auto score = score_of(known);
    if (!score) continue;
    const double ahead = (*score - best_score) * (which == Best::min ? -1 : 1);
    if (best && ahead < 0) continue;
    best = step;
    best_score = *score;
  }
  return best;
}

bool wanted_by(const Settings& settings, const Moment& moment) {
  if (!settings.save_rules.empty())
    return std::ranges::any_of(settings.save_rules,
                               [&](const SaveRule& rule) { return wanted_by(rule, moment); });
  if (moment.last) return true;
  if (const std::int64_t n = settings.should_save_fn; n > 0)
    return (moment.step + moment.newest.value_or(0)) % n == 0;
  return !moment.newest || moment.step % settings.interval == 0 ||
         settings.on_steps.contains(moment.step);
}

}  // namespace cairn::model
