#include "model/rules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace cairn::model {
namespace {

using Kind = KeepRule::Kind;
using Rows = std::vector<Content>;  ///< steps that may be judged, and whose times ascend as they do

/// The better the greater: by the score, of equals the later. Those without a score come last.
std::pair<std::optional<double>, Step> rank(const Content& row, bool smallest) {
  if (!row.loss || row.loss == kNoScore) return {std::nullopt, row.step};
  return {smallest ? -*row.loss : *row.loss, row.step};
}

bool is_among_best(const Content& row, const Rows& rows, const KeepRule& rule) {
  if (!rule.limit || std::ssize(rows) <= *rule.limit) return true;
  const auto own = rank(row, rule.smallest);
  if (!own.first) return rule.without_metrics && rule.limit != 0;
  const auto beats = [&](const Content& other) { return rank(other, rule.smallest) > own; };
  return std::ranges::count_if(rows, beats) < *rule.limit;
}

/// The last one, and the closest to each multiple of n: each step counts for its nearest multiple,
/// between two of them for the even one.
bool is_closest(const Content& row, const Rows& rows, std::int64_t n) {
  const auto multiple = [n](const Content& of) {
    return std::llrint(static_cast<double>(of.step) / static_cast<double>(n));
  };
  const auto distance = [&](const Content& of) { return std::abs(of.step - multiple(of) * n); };
  return row.step == rows.back().step || std::ranges::none_of(rows, [&](const Content& other) {
           return multiple(other) == multiple(row) &&
                  std::pair(distance(other), -other.step) < std::pair(distance(row), -row.step);
         });
}

/// The first, and each that is that far from the one before it that is.
bool is_spaced(const Content& row, const Rows& rows, std::int64_t Content::*where,
               std::int64_t gap) {
  const Content* last = &rows.front();
  for (const Content& next : rows) {
    if (next.step > row.step) break;
    if (next.*where - last->*where >= gap) last = &next;
  }
  return last->step == row.step;
}

bool keeps(const KeepRule& rule, const Rows& rows, const Content& row) {
  switch (rule.kind) {
    case Kind::all:
    case Kind::latest:
      return true;
    case Kind::seconds:
      return is_spaced(row, rows, &Content::time_ns, rule.n * kMsNs);
    case Kind::every:
      return row.step % rule.n == 0;
    case Kind::spaced:
      return is_spaced(row, rows, &Content::step, rule.n);
    case Kind::closest:
      return is_closest(row, rows, rule.n);
    case Kind::listed:
      return rule.steps.contains(row.step);
    case Kind::best:
      return is_among_best(row, rows, rule);
    case Kind::duration:
      return rows.back().time_ns - row.time_ns <= rule.n * kMsNs;
  }
  return false;
}

std::set<Step> kept_by(const KeepRule& rule, const Rows& rows) {
  std::set<Step> kept;
  for (const Content& row : rows)
    if (keeps(rule, rows, row)) kept.insert(row.step);
  // Without metrics there may be more.
  while (rule.kind != Kind::best && rule.limit && std::ssize(kept) > *rule.limit)
    kept.erase(kept.begin());
  return kept;
}

/// "any(EveryNSteps(keep_period)?, EveryNSeconds(keep_time_interval)?,
///      best_fn ? BestN(max_to_keep) : LatestN(max_to_keep))"
std::vector<KeepRule> default_rules(const Settings& settings) {
  const Kind kind = settings.best == Best::none ? Kind::latest : Kind::best;
  const bool smallest = settings.best == Best::min;
  std::vector<KeepRule> rules{{kind, 1, settings.max_to_keep, smallest, settings.without_metrics}};
  if (settings.keep_period) rules.push_back({Kind::every, *settings.keep_period});
  if (settings.keep_ms) rules.push_back({Kind::seconds, *settings.keep_ms});
  return rules;
}

}  // namespace

std::set<Step> losers_of(const Contents& steps, const Settings& settings) {
  const bool own = !settings.keep_rules.empty();
  if (!own && !settings.max_to_keep) return {};
  const bool reads = own || settings.keep_ms || settings.best != Best::none;
  Rows rows;
  std::int64_t time_ns = std::numeric_limits<std::int64_t>::min();
  for (const auto& [step, content] : steps) {
    if (content.damaged || (content.unread && reads)) continue;  // nobody judges it, and it stays
    time_ns = std::max(time_ns, content.time_ns);
    rows.push_back(content);
    rows.back().time_ns = time_ns;
  }
  if (rows.empty()) return {};
  std::set<Step> kept;
  for (const KeepRule& rule : own ? settings.keep_rules : default_rules(settings))
    kept.merge(kept_by(rule, rows));
  const bool keeps_none = kept.empty() && settings.max_to_keep != 0;
  if (own || settings.keep_latest || keeps_none) kept.insert(rows.back().step);
  std::set<Step> lost;
  for (const Content& row : rows)
    if (!kept.contains(row.step)) lost.insert(row.step);
  return lost;
}

std::optional<Step> best_of(const Contents& steps, bool smallest) {
  std::pair<std::optional<double>, Step> best;
  for (const auto& [step, content] : steps) best = std::max(best, rank(content, smallest));
  return best.first ? std::optional(best.second) : std::nullopt;
}

}  // namespace cairn::model
