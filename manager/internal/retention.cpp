#include <cairn/manager/internal/retention.h>

namespace cairn::internal {

Retention::Retention(const ManagerOptions& options) {
  if (options.preservation_policy) {
    policy_ = options.preservation_policy;
    reads_metadata_ = true;
    return;
  }
  // The other rules only add to what this one keeps.
  if (!options.max_to_keep) return;
  PreservationOptions keep;
  keep.max_to_keep = options.max_to_keep;
  keep.keep_time_interval = options.keep_time_interval;
  keep.keep_period = options.keep_period;
  keep.best_fn = options.best_fn;
  keep.best_mode = options.best_mode;
  keep.keep_checkpoints_without_metrics = options.keep_checkpoints_without_metrics;
  keep.keep_latest = options.keep_latest;
  rules_ = PreservationRules(keep);
  policy_ = default_preservation(std::move(keep));
  reads_metadata_ = options.keep_time_interval || options.best_fn;
}

Retention::Verdict Retention::judge(const std::vector<StepRecord>& records) const {
  Verdict verdict;
  if (!policy_) return verdict;
  std::vector<CheckpointInfo> infos;
  infos.reserve(records.size());
  for (const StepRecord& record : records) {
    infos.push_back(record.info);
    // What has not been read is like what cannot be: no policy that needs it may judge the step.
    if (record.unread && reads_metadata_) infos.back().damaged = true;
  }
  PreservationVerdict kept = preserve(policy_, infos, rules_);
  verdict.error = std::move(kept.error);
  for (std::size_t i = 0; i < infos.size(); ++i) {
    if (!kept.keep[i]) verdict.losers.push_back(infos[i].step);
  }
  return verdict;
}

}  // namespace cairn::internal
