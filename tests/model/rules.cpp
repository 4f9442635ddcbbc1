#include "model/rules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace cairn::model {
namespace {

/// Steps that may be judged; their times ascend as they do.
using Rows = std::vector<Content>;

/// The better the greater: by the score, of equals the later. Those without a score come last.
std::pair<std::optional<double>, Step> rank(const Content& row, bool smallest) {
  if (row.damaged || !row.loss || row.loss == kNoScore) return {std::nullopt, row.step};
  return {smallest ? -*row.loss : *row.loss, row.step};
}

bool is_among_best(const Content& row, const Rows& rows, const KeepRule& rule) {
  if (!rule.limit || std::ssize(rows) <= *rule.limit) return true;
  const auto own = rank(row, rule.smallest);
  if (!own.first) return rule.without_metrics && rule.limit != 0;
  const auto beats = [&](const Content& other) { return rank(other, rule.smallest) > own; };
  return std::ranges::count_if(rows, beats) < *rule.limit;
}

/// The last one, and of those around a multiple of n the closest, of two the later. Half-way
/// between two multiples a step counts for the even one.
bool is_closest(const Content& row, const Rows& rows, std::int64_t n) {
  const double quotient = static_cast<double>(row.step) / static_cast<double>(n);
  const std::int64_t multiple = std::llrint(quotient) * n;
  const auto distance = [multiple](const Content& of) {
    return std::pair(std::abs(of.step - multiple), -of.step);
  };
  return row.step == rows.back().step || row.step == std::ranges::min(rows, {}, distance).step;
}

/// The first, and each that is so far from the one before it that is.
bool is_spaced(const Content& row, const Rows& rows, std::int64_t Content::*where,
               std::int64_t gap) {
  const Content* last = &rows.front();
  for (const Content& next : rows)
    if (next.step <= row.step && next.*where - last->*where >= gap) last = &next;
  return last->step == row.step;
}

bool is_kept(const Content& row, const Rows& rows, const KeepRule& rule) {
  using enum KeepRule::Kind;
  switch (rule.kind) {
    case all:
    case latest:
      return true;
    case seconds:
      return is_spaced(row, rows, &Content::time_ns, rule.n * kMsNs);
    case every:
      return row.step % rule.n == 0;
    case spaced:
      return is_spaced(row, rows, &Content::step, rule.n);
    case closest:
      return is_closest(row, rows, rule.n);
    case listed:
      return rule.steps.contains(row.step);
    case best:
      return is_among_best(row, rows, rule);
    case duration:
      return rows.back().time_ns - row.time_ns <= rule.n * kMsNs;
  }
  return false;
}

std::set<Step> kept_by(const KeepRule& rule, const Rows& rows) {
  std::set<Step> kept;
  for (const Content& row : rows)
    if (is_kept(row, rows, rule)) kept.insert(row.step);
  const bool limited = rule.limit && rule.kind != KeepRule::Kind::best;  // whose limit is another
  while (limited && std::ssize(kept) > *rule.limit) kept.erase(kept.begin());
  return kept;
}

/// "any(EveryNSteps(keep_period)?, EveryNSeconds(keep_time_interval)?,
///      best_fn ? BestN(max_to_keep) : LatestN(max_to_keep))"
std::vector<KeepRule> default_rules(const Settings& settings) {
  using enum KeepRule::Kind;
  const KeepRule::Kind kind = settings.best == Best::none ? latest : best;
  const bool smallest = settings.best == Best::min;
  std::vector<KeepRule> rules{{kind, 1, settings.max_to_keep, smallest, settings.without_metrics}};
  if (settings.keep_period) rules.push_back({every, *settings.keep_period});
  if (settings.keep_ms) rules.push_back({seconds, *settings.keep_ms});
  return rules;
}

}  // namespace

bool is_wanted(const Moment& at, const Contents& steps, const Settings& settings) {
  using enum SaveRule::Kind;
  const auto next = steps.lower_bound(at.step);
  const bool first = next == steps.begin();
  const Content before = first ? Content{} : std::prev(next)->second;
  std::vector<SaveRule> rules = settings.save_rules;
  if (rules.empty()) {
    if (const std::int64_t n = settings.should_save_fn; n > 0)
      return at.last || (at.step + before.step) % n == 0;
    rules = {
        {interval, settings.interval}, {listed, 1, settings.on_steps}, {preemption}, {initial}};
  }
  return std::ranges::any_of(rules, [&](const SaveRule& rule) {
    switch (rule.kind) {
      case interval:
        return at.step % rule.n == 0;
      case listed:
        return rule.steps.contains(at.step);
      case continuous:
        return !at.saving && (first || rule.n < 0 || before.damaged || before.time_ns > at.now_ns ||
                              at.now_ns - before.time_ns >= rule.n * kMsNs);
      case preemption:
        return at.last;
      case initial:
        return first;
    }
    return false;
  });
}

std::set<Step> losers_of(const Contents& steps, const Settings& settings) {
  const bool own = !settings.keep_rules.empty();
  if (!own && !settings.max_to_keep) return {};
  const bool reads = own || settings.keep_ms || settings.best != Best::none;
  Rows rows;
  std::set<Step> lost;
  std::int64_t time_ns = std::numeric_limits<std::int64_t>::min();
  for (const auto& [step, content] : steps) {
    if (content.damaged || (content.unread && reads)) continue;  // nobody judges it, and it stays
    time_ns = std::max(time_ns, content.time_ns);
    rows.push_back(content);
    rows.back().time_ns = time_ns;
    lost.insert(step);
  }
  if (rows.empty()) return {};
  for (const KeepRule& rule : own ? settings.keep_rules : default_rules(settings))
    for (const Step kept : kept_by(rule, rows)) lost.erase(kept);
  // The newest goes only where max_to_keep is 0 in so many words, or others are better.
  const bool all_lost = lost.size() == rows.size() && settings.max_to_keep != 0;
  if (own || settings.keep_latest || all_lost) lost.erase(rows.back().step);
  return lost;
}

std::optional<Step> latest_of(const Contents& steps) {
  return steps.empty() ? std::nullopt : std::optional(steps.rbegin()->first);
}

std::optional<Step> best_of(const Contents& steps, bool smallest) {
  std::pair<std::optional<double>, Step> best;
  for (const auto& [step, content] : steps) best = std::max(best, rank(content, smallest));
  return best.first ? std::optional(best.second) : std::nullopt;
}

}  // namespace cairn::model
