#include <cairn/manager/internal/step_index.h>

#include <algorithm>

namespace cairn::internal {

std::set<Step> StepIndex::visible() const {
  std::set<Step> steps = committed_;
  steps.insert(saving_.begin(), saving_.end());
  for (const Step step : condemned_) steps.erase(step);
  return steps;
}

void StepIndex::note(Step step, bool there) {
  if (listings_ > 0) changes_.push_back({step, there});
}

std::size_t StepIndex::begin_listing() {
  const std::lock_guard lock(mutex_);
  ++listings_;
  return changes_.size();
}

void StepIndex::end_listing(std::size_t mark, const std::vector<Step>& committed) {
  const std::lock_guard lock(mutex_);
  committed_ = std::set<Step>(committed.begin(), committed.end());
  for (std::size_t i = mark; i < changes_.size(); ++i) {
    if (changes_[i].there) {
      committed_.insert(changes_[i].step);
    } else {
      committed_.erase(changes_[i].step);
    }
  }
  if (--listings_ == 0) changes_.clear();
}

void StepIndex::abort_listing() {
  const std::lock_guard lock(mutex_);
  if (--listings_ == 0) changes_.clear();
}

bool StepIndex::is_condemned(Step step) const {
  const std::lock_guard lock(mutex_);
  return condemned_.contains(step);
}

bool StepIndex::is_saving(Step step) const {
  const std::lock_guard lock(mutex_);
  return saving_.contains(step);
}

std::vector<Step> StepIndex::all() const {
  const std::lock_guard lock(mutex_);
  const std::set<Step> steps = visible();
  return {steps.begin(), steps.end()};
}

std::optional<Step> StepIndex::latest() const {
  const std::lock_guard lock(mutex_);
  const std::set<Step> steps = visible();
  return steps.empty() ? std::nullopt : std::optional(*steps.rbegin());
}

std::optional<Step> StepIndex::latest_committed() const {
  const std::lock_guard lock(mutex_);
  for (auto step = committed_.rbegin(); step != committed_.rend(); ++step) {
    if (!condemned_.contains(*step)) return *step;
  }
  return std::nullopt;
}

bool StepIndex::contains(Step step) const {
  const std::lock_guard lock(mutex_);
  return visible().contains(step);
}

std::vector<Step> StepIndex::begin_save(Step step, std::optional<std::int64_t> max_to_keep) {
  const std::lock_guard lock(mutex_);
  saving_.insert(step);
  condemned_.erase(step);
  std::vector<Step> losers;
  if (!max_to_keep) return losers;
  const std::set<Step> steps = visible();
  const auto keep = static_cast<std::size_t>(*max_to_keep);
  std::size_t excess = steps.size() > keep ? steps.size() - keep : 0;
  for (auto oldest = steps.begin(); excess > 0; ++oldest, --excess) losers.push_back(*oldest);
  condemned_.insert(losers.begin(), losers.end());
  return losers;
}

void StepIndex::commit(Step step) {
  const std::lock_guard lock(mutex_);
  saving_.erase(step);
  committed_.insert(step);
  note(step, true);
}

void StepIndex::abort(Step step, const std::vector<Step>& losers) {
  const std::lock_guard lock(mutex_);
  saving_.erase(step);
  for (const Step loser : losers) condemned_.erase(loser);
}

bool StepIndex::begin_delete(Step step) {
  const std::lock_guard lock(mutex_);
  if (!committed_.contains(step)) return false;
  return condemned_.insert(step).second;
}

void StepIndex::abort_delete(Step step) {
  const std::lock_guard lock(mutex_);
  condemned_.erase(step);
}

void StepIndex::finish_delete(Step step) {
  const std::lock_guard lock(mutex_);
  condemned_.erase(step);
  committed_.erase(step);
  note(step, false);
}

}  // namespace cairn::internal
