#include <cairn/manager/checkpoint_info.h>

#include <cmath>

namespace cairn {

std::optional<double> score(const CheckpointInfo& info, const MetricFn& metric_fn) {
  if (!info.metrics) return std::nullopt;
  const double number = metric_fn(*info.metrics);
  return std::isnan(number) ? std::nullopt : std::optional(number);
}

std::optional<Step> best_step(std::span<const CheckpointInfo> infos, const MetricFn& best_fn,
                              BestMode mode) {
  if (infos.empty()) return std::nullopt;
  if (!best_fn) return infos.back().step;
  std::optional<Step> best;
  double best_score = 0;
  for (const CheckpointInfo& info : infos) {
    const std::optional<double> number = score(info, best_fn);
    if (!number) continue;
    const bool worse = mode == BestMode::max ? *number < best_score : *number > best_score;
    if (best && worse) continue;
    best = info.step;
    best_score = *number;
  }
  return best;
}

}  // namespace cairn
