#include <cairn/manager/internal/step_index.h>

#include <algorithm>

namespace cairn::internal {

bool StepIndex::saving(Step step) const {
  return std::ranges::any_of(
      saving_, [step](const Saving& entry) { return entry.record.info.step == step; });
}

bool StepIndex::deleting(Step step) const {
  return std::ranges::any_of(deleting_,
                             [step](const Deletion& entry) { return entry.step == step; });
}

bool StepIndex::stays(Step step) const {
  return committed_.contains(step) && !condemned_.contains(step) && !deleting(step);
}

bool StepIndex::visible(Step step) const {
  return stays(step) || (saving(step) && !condemned_.contains(step));
}

bool StepIndex::is_older(Step step, SaveId by) const {
  const auto saved_by = saved_by_.find(step);
  return saved_by == saved_by_.end() || saved_by->second <= by;
}

void StepIndex::erase(Step step) {
  committed_.erase(step);
  saved_by_.erase(step);
  distrusted_.erase(step);
  note(step, std::nullopt);
}

void StepIndex::mark_distrusted() {
  std::erase_if(distrusted_, [this](Step step) { return !committed_.contains(step); });
  for (const Step step : distrusted_) {
    CheckpointInfo& info = committed_.at(step).info;
    info.damaged = true;
    info.metrics.reset();  // they would rank it
  }
}

void StepIndex::note(Step step, std::optional<StepRecord> record) {
  if (listings_ > 0) changes_.push_back({step, std::move(record)});
}

StepIndex::Listing StepIndex::begin_listing() {
  const std::lock_guard lock(mutex_);
  ++listings_;
  return {++listings_begun_, changes_.size()};
}

void StepIndex::leave_listing() {
  if (--listings_ == 0) changes_.clear();
}

void StepIndex::end_listing(Listing listing, const std::vector<StepRecord>& committed) {
  const std::lock_guard lock(mutex_);
  // What it has read may be older than what is known by now.
  if (listing.number < listed_) return leave_listing();
  listed_ = listing.number;
  snapshot_.reset();
  committed_.clear();
  for (const StepRecord& record : committed) {
    committed_.insert_or_assign(committed_.end(), record.info.step, record);
  }
  for (std::size_t i = listing.mark; i < changes_.size(); ++i) {
    if (changes_[i].record) {
      committed_.insert_or_assign(changes_[i].step, *changes_[i].record);
    } else {
      committed_.erase(changes_[i].step);
    }
  }
  std::erase_if(saved_by_, [this](const auto& entry) { return !committed_.contains(entry.first); });
  mark_distrusted();
  leave_listing();
}

void StepIndex::abort_listing() {
  const std::lock_guard lock(mutex_);
  leave_listing();
}

void StepIndex::distrust(Step step) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  distrusted_.insert(step);
  mark_distrusted();
}

bool StepIndex::is_condemned(Step step) const {
  const std::lock_guard lock(mutex_);
  return condemned_.contains(step);
}

bool StepIndex::is_condemned(Step step, SaveId by) const {
  const std::lock_guard lock(mutex_);
  return condemned_.contains(step) && is_older(step, by);
}

bool StepIndex::is_saving(Step step) const {
  const std::lock_guard lock(mutex_);
  return saving(step);
}

std::vector<Step> StepIndex::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Step> steps;
  steps.reserve(committed_.size() + saving_.size());
  for (const auto& [step, record] : committed_) {
    if (visible(step)) steps.push_back(step);
  }
  for (const Saving& save : saving_) {
    const Step step = save.record.info.step;
    if (!committed_.contains(step) && visible(step)) steps.push_back(step);
  }
  std::ranges::sort(steps);
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

std::shared_ptr<const StepIndex::Records> StepIndex::records() const {
  const std::lock_guard lock(mutex_);
  if (snapshot_) return snapshot_;
  // A step that is being replaced is what it will be.
  RecordOf all = committed_;
  for (const Saving& save : saving_) all.insert_or_assign(save.record.info.step, save.record);
  auto records = std::make_shared<Records>();
  records->reserve(all.size());
  for (auto& [step, record] : all) {
    if (visible(step)) records->push_back(std::move(record));
  }
  snapshot_ = std::move(records);
  return snapshot_;
}

StepIndex::Records StepIndex::settled() const {
  const std::lock_guard lock(mutex_);
  Records records;
  for (const auto& [step, record] : committed_) {
    if (!deleting(step)) records.push_back(record);
  }
  return records;
}

std::optional<Step> StepIndex::latest() const {
  const std::lock_guard lock(mutex_);
  std::optional<Step> latest;
  const auto found = std::find_if(committed_.rbegin(), committed_.rend(),
                                  [this](const auto& entry) { return visible(entry.first); });
  if (found != committed_.rend()) latest = found->first;
  for (const Saving& save : saving_) {
    const Step step = save.record.info.step;
    if (visible(step) && (!latest || step > *latest)) latest = step;
  }
  return latest;
}

std::optional<Step> StepIndex::latest_committed() const {
  const std::lock_guard lock(mutex_);
  for (auto entry = committed_.rbegin(); entry != committed_.rend(); ++entry) {
    if (stays(entry->first)) return entry->first;
  }
  return std::nullopt;
}

std::optional<Step> StepIndex::latest_to_restore() const {
  const std::lock_guard lock(mutex_);
  std::optional<Step> pushed_out;
  for (auto entry = committed_.rbegin(); entry != committed_.rend(); ++entry) {
    if (stays(entry->first)) return entry->first;
    if (!pushed_out && !deleting(entry->first)) pushed_out = entry->first;
  }
  return pushed_out;
}

std::optional<Step> StepIndex::latest_on_disk() const {
  const std::lock_guard lock(mutex_);
  if (committed_.empty()) return std::nullopt;
  return committed_.rbegin()->first;
}

bool StepIndex::contains(Step step) const {
  const std::lock_guard lock(mutex_);
  return visible(step);
}

StepIndex::BegunSave StepIndex::begin_save(const StepRecord& record,
                                           const std::vector<Step>& losers, bool supersedes) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  BegunSave begun;
  begun.id = SaveId{++saves_};
  const Step step = record.info.step;
  saving_.push_back({begun.id, record, std::nullopt});
  const auto condemned = condemned_.find(step);
  if (condemned != condemned_.end()) {
    if (condemned->second.superseded) saving_.back().took_back = condemned->second.by;
    condemned_.erase(condemned);
  }
  for (const Step loser : losers) {
    if (!visible(loser)) continue;
    begun.losers.push_back(loser);
    condemned_.insert_or_assign(loser, Condemnation{begun.id, supersedes && loser > step});
  }
  return begun;
}

void StepIndex::commit(SaveId save, StepRecord record) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  std::erase_if(saving_, [save](const Saving& entry) { return entry.id == save; });
  const Step step = record.info.step;
  note(step, record);
  committed_.insert_or_assign(step, std::move(record));
  saved_by_.insert_or_assign(step, save);
  distrusted_.erase(step);
  std::erase_if(deleting_, [step](const Deletion& entry) { return entry.step == step; });
}

void StepIndex::abort(SaveId save, const std::vector<Step>& losers) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  const auto aborted =
      std::ranges::find_if(saving_, [save](const Saving& entry) { return entry.id == save; });
  if (aborted != saving_.end()) {
    const Step step = aborted->record.info.step;
    const std::optional<SaveId> took_back = aborted->took_back;
    saving_.erase(aborted);
    if (took_back) condemn_again(step, *took_back);
  }
  for (const Step loser : losers) uncondemn(loser);
}

void StepIndex::condemn_again(Step step, SaveId by) {
  const auto other = std::ranges::find_if(
      saving_, [step](const Saving& entry) { return entry.record.info.step == step; });
  if (other != saving_.end()) {
    if (!other->took_back) other->took_back = by;  // it is to replace the step now
  } else if (committed_.contains(step) && is_older(step, by)) {
    condemned_.try_emplace(step, Condemnation{by, true});
  }
}

void StepIndex::hand_over(SaveId from, SaveId to) {
  const std::lock_guard lock(mutex_);
  for (auto& [step, condemnation] : condemned_) {
    if (condemnation.by == from) condemnation.by = to;
  }
  for (Saving& entry : saving_) {
    if (entry.took_back == from) entry.took_back = to;
  }
}

void StepIndex::uncondemn(Step step) {
  condemned_.erase(step);
  for (Saving& entry : saving_) {
    if (entry.record.info.step == step) entry.took_back.reset();
  }
}

void StepIndex::spare(Step step) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  uncondemn(step);
}

void StepIndex::forget(Step step) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  condemned_.erase(step);
  erase(step);
}

bool StepIndex::is_taken_back(Step step, SaveId by) const {
  const std::lock_guard lock(mutex_);
  return committed_.contains(step) && saving(step) && !condemned_.contains(step) &&
         is_older(step, by);
}

void StepIndex::lose(Step step) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  erase(step);
}

std::optional<StepIndex::DeleteId> StepIndex::begin_delete(Step step) {
  const std::lock_guard lock(mutex_);
  if (!stays(step)) return std::nullopt;
  snapshot_.reset();
  deleting_.push_back({DeleteId{++deletes_}, step});
  return deleting_.back().id;
}

bool StepIndex::is_due(DeleteId deletion) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(deleting_,
                             [deletion](const Deletion& entry) { return entry.id == deletion; });
}

void StepIndex::abort_delete(DeleteId deletion) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  std::erase_if(deleting_, [deletion](const Deletion& entry) { return entry.id == deletion; });
}

void StepIndex::finish_delete(DeleteId deletion) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  const auto found = std::ranges::find_if(
      deleting_, [deletion](const Deletion& entry) { return entry.id == deletion; });
  if (found == deleting_.end()) return;
  erase(found->step);
  deleting_.erase(found);
}

}  // namespace cairn::internal
