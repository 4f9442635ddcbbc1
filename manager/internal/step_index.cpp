#include <cairn/manager/internal/step_index.h>

#include <algorithm>
#include <iterator>

namespace cairn::internal {

bool StepIndex::deleting(Step step) const {
  return std::ranges::any_of(deleting_,
                             [step](const Deletion& entry) { return entry.step == step; });
}

StepIndex::SaveId StepIndex::maker(Step step) const {
  const auto found = saved_by_.find(step);
  return found == saved_by_.end() ? SaveId{0} : found->second;
}

bool StepIndex::condemned(Step step, SaveId save) const {
  const auto found = condemned_.find(step);
  return found != condemned_.end() && found->second.back().by >= save;
}

bool StepIndex::stays(Step step) const {
  return committed_.contains(step) && !condemned(step, maker(step)) && !deleting(step);
}

bool StepIndex::will_stay(Step step) const {
  return std::ranges::any_of(
      saving_, [&](const Saving& save) { return save.step() == step && !condemned(save); });
}

bool StepIndex::visible(Step step) const {
  return stays(step) || will_stay(step);
}

template <class Predicate>
void StepIndex::uncondemn(Step step, const Predicate& is_over) {
  const auto found = condemned_.find(step);
  if (found == condemned_.end()) return;
  std::erase_if(found->second,
                [&](const Condemnation& condemnation) { return is_over(condemnation.by); });
  if (found->second.empty()) condemned_.erase(found);
}

void StepIndex::prune(Step step) {
  uncondemn(step, [&](SaveId by) {
    const bool there = committed_.contains(step) && maker(step) <= by;
    return !there && std::ranges::none_of(saving_, [&](const Saving& save) {
      return save.step() == step && save.id <= by;
    });
  });
}

void StepIndex::erase(Step step) {
  committed_.erase(step);
  saved_by_.erase(step);
  distrusted_.erase(step);
  prune(step);
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
  std::vector<Step> pushed_out;
  for (const auto& [step, by] : condemned_) pushed_out.push_back(step);
  for (const Step step : pushed_out) prune(step);
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
  return condemned_.contains(step) && !will_stay(step);
}

bool StepIndex::is_condemned(Step step, SaveId by) const {
  const std::lock_guard lock(mutex_);
  const auto found = condemned_.find(step);
  return found != condemned_.end() &&
         std::ranges::find(found->second, by, &Condemnation::by) != found->second.end();
}

bool StepIndex::is_superseded(Step step, SaveId save) const {
  const std::lock_guard lock(mutex_);
  const auto found = condemned_.find(step);
  return found != condemned_.end() &&
         std::ranges::any_of(found->second, [save](const Condemnation& condemnation) {
           return condemnation.superseded && condemnation.by > save;
         });
}

bool StepIndex::is_saving(Step step) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::find(saving_, step, &Saving::step) != saving_.end();
}

bool StepIndex::is_saving_condemned(Step step) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(
      saving_, [&](const Saving& save) { return save.step() == step && condemned(save); });
}

bool StepIndex::knows_above(Step step) const {
  const std::lock_guard lock(mutex_);
  return committed_.upper_bound(step) != committed_.end() ||
         std::ranges::any_of(saving_, [step](const Saving& save) { return save.step() > step; });
}

std::vector<Step> StepIndex::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Step> steps;
  steps.reserve(committed_.size() + saving_.size());
  for (const auto& [step, record] : committed_) {
    if (stays(step)) steps.push_back(step);
  }
  for (const Saving& save : saving_) {
    if (!condemned(save)) steps.push_back(save.step());
  }
  std::ranges::sort(steps);
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

std::shared_ptr<const StepIndex::Records> StepIndex::records() const {
  const std::lock_guard lock(mutex_);
  if (snapshot_) return snapshot_;
  RecordOf all;
  for (const auto& [step, record] : committed_) {
    if (stays(step)) all.insert_or_assign(all.end(), step, record);
  }
  // A step that is being replaced is what it will be.
  for (const Saving& save : saving_) {
    if (!condemned(save)) all.insert_or_assign(save.step(), save.record);
  }
  auto records = std::make_shared<Records>();
  records->reserve(all.size());
  for (auto& [step, record] : all) records->push_back(std::move(record));
  snapshot_ = std::move(records);
  return snapshot_;
}

bool StepIndex::is_unread(Step step) const {
  const std::lock_guard lock(mutex_);
  const auto found = committed_.find(step);
  return found != committed_.end() && found->second.unread;
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
                                  [this](const auto& entry) { return stays(entry.first); });
  if (found != committed_.rend()) latest = found->first;
  for (const Saving& save : saving_) {
    if (!condemned(save) && (!latest || save.step() > *latest)) latest = save.step();
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
  saving_.push_back({begun.id, record});
  const Step step = record.info.step;
  std::set<Step> pushed_out;
  for (const Step loser : losers) {
    if (visible(loser)) pushed_out.insert(loser);
  }
  if (supersedes) {
    for (auto later = committed_.upper_bound(step); later != committed_.end(); ++later) {
      pushed_out.insert(later->first);
    }
    for (const Saving& save : saving_) {
      if (save.step() > step) pushed_out.insert(save.step());
    }
  }
  for (const Step loser : pushed_out) {
    condemned_[loser].push_back({begun.id, supersedes && loser > step});
    begun.losers.push_back(loser);
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
  prune(step);
}

void StepIndex::abort(SaveId save, bool may_be_there) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  const auto aborted = std::ranges::find(saving_, save, &Saving::id);
  if (aborted != saving_.end()) {
    const Step step = aborted->step();
    saving_.erase(aborted);
    if (may_be_there) {
      uncondemn(step, [save](SaveId by) { return by < save; });
    } else {
      prune(step);
    }
  }
  for (auto entry = condemned_.begin(); entry != condemned_.end();) {
    std::erase_if(entry->second, [save](const Condemnation& one) { return one.by == save; });
    entry = entry->second.empty() ? condemned_.erase(entry) : std::next(entry);
  }
}

void StepIndex::spare(Step step, SaveId by) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  uncondemn(step, [by](SaveId other) { return other == by; });
}

void StepIndex::spare_up_to(Step step, SaveId by) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  uncondemn(step, [by](SaveId other) { return other <= by; });
}

void StepIndex::forget(Step step) {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  erase(step);
}

bool StepIndex::is_taken_back(Step step, SaveId by) const {
  const std::lock_guard lock(mutex_);
  return committed_.contains(step) && maker(step) <= by && will_stay(step);
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
