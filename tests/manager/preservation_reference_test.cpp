// The default policy beside a second one that was written from the description of the options, step
// by step and with no code in common: each step's fate by itself, by counting.

#include <cairn/manager/preservation_policy.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <sstream>

#include "support/policy_samples.h"
#include "support/seed.h"

namespace cairn {
namespace {

constexpr int kLists = 20'000;

struct Row {
  Step step;
  std::int64_t ns;
  std::optional<double> loss;  ///< may be NaN
  bool damaged;
};
struct Case {
  std::vector<Row> rows;
  PreservationOptions options;
  bool smallest_is_best = false;
};

// ---- the second opinion ----

bool has_number(const Row& row) {
  return row.loss.has_value() && *row.loss == *row.loss;
}

/// Good rows alone, each with the largest stamp up to it.
std::vector<Row> good_rows(const Case& c) {
  std::vector<Row> good;
  for (const Row& row : c.rows) {
    if (row.damaged) continue;
    good.push_back(row);
    for (const Row& before : good) good.back().ns = std::max(good.back().ns, before.ns);
  }
  return good;
}

/// "Greedy spacing starting at the oldest step (always kept), by commit time."
bool is_spaced(const std::vector<Row>& good, const Row& row, std::int64_t interval_ns) {
  Step last_kept = good.front().step;
  std::int64_t last_ns = good.front().ns;
  for (const Row& other : good) {
    if (other.ns - last_ns >= interval_ns) {
      last_kept = other.step;
      last_ns = other.ns;
    }
    if (other.step == row.step) return last_kept == row.step;
  }
  return false;
}

/// "n none or count <= n: keep all; n = 0: none; else the best n, the later of equal ones."
bool is_among_best(const Case& c, const std::vector<Row>& good, const Row& row) {
  const auto n = c.options.max_to_keep;
  if (!n || static_cast<std::int64_t>(good.size()) <= *n) return true;
  if (*n == 0) return false;
  if (!has_number(row)) return c.options.keep_checkpoints_without_metrics;
  std::int64_t beaten_by = 0;
  for (const Row& other : good) {
    if (!has_number(other) || other.step == row.step) continue;
    const bool better = c.smallest_is_best ? *other.loss < *row.loss : *other.loss > *row.loss;
    const bool equal = *other.loss == *row.loss;
    if (better || (equal && other.step > row.step)) ++beaten_by;
  }
  return beaten_by < *n;
}

bool is_among_latest(const Case& c, const std::vector<Row>& good, const Row& row) {
  if (!c.options.max_to_keep) return true;
  std::int64_t later = 0;
  for (const Row& other : good) later += other.step > row.step ? 1 : 0;
  return later < *c.options.max_to_keep;
}

bool any_keeper(const Case& c, const std::vector<Row>& good, const Row& row) {
  const PreservationOptions& o = c.options;
  if (o.keep_period && row.step % *o.keep_period == 0) return true;
  if (o.keep_time_interval && is_spaced(good, row, o.keep_time_interval->count() * 1'000'000))
    return true;
  return o.best_fn ? is_among_best(c, good, row) : is_among_latest(c, good, row);
}

test::Steps expected(const Case& c) {
  const std::vector<Row> good = good_rows(c);
  bool keeps_any = false;
  for (const Row& row : good) keeps_any = keeps_any || any_keeper(c, good, row);
  test::Steps kept;
  std::size_t next = 0;
  for (const Row& row : c.rows) {
    bool keep = row.damaged;
    if (!row.damaged) {
      keep = any_keeper(c, good, good[next++]);
      const bool is_newest = next == good.size();
      const bool may_go = c.options.max_to_keep == 0 || (c.options.best_fn && keeps_any);
      if (is_newest && (c.options.keep_latest || !may_go)) keep = true;
    }
    if (keep) kept.push_back(row.step);
  }
  return kept;
}

// ---- cases ----

class Cases {
 public:
  explicit Cases(std::uint64_t seed) : random_(seed) {}
  Case next() {
    Case c;
    Step step = upto(5);
    std::int64_t ns = test::kEpochNs;
    const bool strange_clock = one_in(3);
    for (std::int64_t count = upto(14); count > 0; --count) {
      ns += upto(6) * test::kSecondNs / 2;
      if (strange_clock && one_in(4)) ns -= upto(20) * test::kSecondNs;
      // Few different values, so that many are equal.
      std::optional<double> loss = static_cast<double>(upto(5));
      if (one_in(5)) loss = std::numeric_limits<double>::quiet_NaN();
      if (one_in(5)) loss.reset();
      c.rows.push_back({step, ns, loss, one_in(12)});
      step += 1 + upto(3);
    }
    PreservationOptions& o = c.options;
    if (one_in(2)) o.max_to_keep = upto(6);
    if (one_in(3)) o.keep_period = 1 + upto(6);
    if (one_in(3)) o.keep_time_interval = std::chrono::milliseconds(upto(9) * 500);
    if (one_in(2)) o.best_fn = test::loss_of;
    c.smallest_is_best = one_in(2);
    o.best_mode = c.smallest_is_best ? BestMode::min : BestMode::max;
    o.keep_checkpoints_without_metrics = one_in(2);
    o.keep_latest = one_in(4);
    return c;
  }

 private:
  std::int64_t upto(std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random_);
  }
  bool one_in(std::int64_t n) { return upto(n - 1) == 0; }
  std::mt19937_64 random_;
};

std::string describe(const Case& c) {
  std::ostringstream out;
  const PreservationOptions& o = c.options;
  out << "max_to_keep " << (o.max_to_keep ? *o.max_to_keep : -1) << ", keep_period "
      << (o.keep_period ? *o.keep_period : -1) << ", keep_time_interval "
      << (o.keep_time_interval ? o.keep_time_interval->count() : -1) << " ms, best_fn "
      << (o.best_fn ? (c.smallest_is_best ? "min" : "max") : "none") << ", without metrics "
      << o.keep_checkpoints_without_metrics << ", keep_latest " << o.keep_latest << "\n";
  for (const Row& row : c.rows) {
    out << "  step " << row.step << " at " << (row.ns - test::kEpochNs) / 1'000'000 << " ms, loss ";
    row.loss ? out << *row.loss : out << "none";
    out << (row.damaged ? ", damaged\n" : "\n");
  }
  return out.str();
}

TEST(DefaultPreservation, AgreesWithASecondOpinionOnRandomLists) {
  Cases cases(test::make_seed());
  int dropped_some = 0;
  for (int i = 0; i < kLists; ++i) {
    const Case c = cases.next();
    std::vector<CheckpointInfo> infos;
    for (const Row& row : c.rows) {
      infos.emplace_back(row.step, row.ns);
      if (row.loss) infos.back().metrics = test::metric("loss", *row.loss);
      infos.back().damaged = row.damaged;
    }
    const PreservationVerdict verdict =
        preserve(default_preservation(c.options), infos, PreservationRules(c.options));
    ASSERT_FALSE(verdict.error) << verdict.error->what() << "\nlist " << i << ": " << describe(c);
    const test::Steps kept = test::select(infos, verdict.keep);
    ASSERT_EQ(kept, expected(c)) << "list " << i << ": " << describe(c);
    if (kept.size() < infos.size()) ++dropped_some;
  }
  EXPECT_GT(dropped_some, kLists / 10) << "the lists test something";
}

}  // namespace
}  // namespace cairn
