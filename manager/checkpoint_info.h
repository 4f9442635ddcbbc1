#pragma once
// A step as policies see it, and how its metrics rank it.

#include <cairn/export.h>
#include <cairn/manager/save_future.h>

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace cairn {

/// What policies are told about a step (Orbax: PolicyCheckpointInfo).
struct CheckpointInfo {
  CheckpointInfo() = default;
  explicit CheckpointInfo(Step s, std::int64_t committed_ns = 0,
                          std::optional<boost::json::object> m = std::nullopt)
      : step(s), time_ns(committed_ns), metrics(std::move(m)) {}

  /// Its number.
  Step step = 0;
  /// When it was committed, in ns since the Unix epoch; of a save under way, when it was asked for.
  std::int64_t time_ns = 0;
  std::optional<boost::json::object> metrics;  ///< none: none were given
  /// The engine clock's steady time at that moment, in ns; none: another process saved it.
  std::optional<std::int64_t> steady_ns;
  /// Its metadata cannot be read, or it was saved by this manager and did not read back
  /// (verify_before_delete): no policy judges it, it is kept.
  bool damaged = false;
};

/// Metrics to the number that ranks them; NaN: they do not tell. JSON tells 1 from 1.0: take
/// at("loss").to_number<double>(). Runs on the threads that call save() or best_step() and on the
/// engine's. best_step() throws what it throws; for a save that is no error: then no step is
/// deleted by rule, and SaveResult::warning and check_for_errors() say so, with the metrics' names.
using MetricFn = std::function<double(const boost::json::object&)>;
/// Whether the largest or the smallest number is the best.
enum class BestMode : std::uint8_t { max, min };

/// A step's number by its metrics; none where it has no metrics or the number is NaN.
[[nodiscard]] CAIRN_EXPORT std::optional<double> score(const CheckpointInfo& info,
                                                       const MetricFn& metric_fn);

/// The best of `infos` (steps ascending); of equal ones the latest. None where no step has a
/// number. Without `best_fn` the latest step.
[[nodiscard]] CAIRN_EXPORT std::optional<Step> best_step(std::span<const CheckpointInfo> infos,
                                                         const MetricFn& best_fn,
                                                         BestMode mode = BestMode::max);

}  // namespace cairn
