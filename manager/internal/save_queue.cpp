#include <cairn/manager/internal/save_queue.h>

#include <algorithm>
#include <utility>

namespace cairn::internal {

SaveQueue::Entries::iterator SaveQueue::place_of(const SaveJob& job) {
  return std::ranges::find_if(entries_,
                              [&job](const Entry& entry) { return entry.job.get() == &job; });
}

std::vector<SaveQueue::JobPtr> SaveQueue::push(const JobPtr& job, bool first) {
  {
    const std::lock_guard lock(mutex_);
    entries_.emplace_back(job);
  }
  return first ? promote(*job) : std::vector<JobPtr>();
}

std::vector<SaveQueue::JobPtr> SaveQueue::promote(const SaveJob& job) {
  std::vector<JobPtr> promoted;
  std::vector<AlarmPtr> alarms;
  {
    const std::lock_guard lock(mutex_);
    const auto end = place_of(job);
    if (end == entries_.end()) return promoted;
    // What moves goes to the front: those not looked at yet keep their places.
    for (auto entry = entries_.begin(); entry <= end; ++entry) {
      if (entry->job->step != job.step) continue;
      promoted.push_back(entry->job);
      if (AlarmPtr alarm = put_first(entry)) alarms.push_back(std::move(alarm));
    }
  }
  // What one waits for may wait for it by now, or be of a save that it no longer waits for.
  for (const AlarmPtr& alarm : alarms) alarm->ring();
  return promoted;
}

SaveQueue::AlarmPtr SaveQueue::put_first(Entries::iterator from) {
  if (std::exchange(from->first, true) || from->capturing) return nullptr;
  AlarmPtr alarm = std::exchange(from->alarm, nullptr);
  // Those that capture are all in front: each began when the ones before it were staged.
  const auto to = std::ranges::find_if(
      entries_, [](const Entry& entry) { return !entry.capturing && !entry.first; });
  if (to < from) std::rotate(to, from, from + 1);
  return alarm;
}

void SaveQueue::remove(const SaveJob& job) {
  const std::lock_guard lock(mutex_);
  const auto place = place_of(job);
  if (place != entries_.end()) entries_.erase(place);
}

Event SaveQueue::begin_capture(const SaveJob& job) {
  const std::lock_guard lock(mutex_);
  const auto place = place_of(job);
  if (place == entries_.end()) return nullptr;
  std::vector<const Entry*> before;  // that count for max_pending
  Event unstaged;
  for (auto entry = entries_.begin(); entry != place; ++entry) {
    if (!entry->first) before.push_back(&*entry);
    if (!entry->job->staged->ready()) unstaged = entry->job->staged;
  }
  if (!place->first && before.size() >= places_) {
    return alarm_at(before[before.size() - places_]->job->done, *place);
  }
  if (unstaged) return alarm_at(unstaged, *place);
  place->alarm = nullptr;
  place->capturing = true;
  return nullptr;
}

Event SaveQueue::alarm_at(const Event& event, Entry& entry) {
  const auto alarm = std::make_shared<Alarm>();
  entry.alarm = alarm;
  event->when_ready(event->next_id(),
                    [alarm](const std::exception_ptr& /*never cancelled*/) { alarm->ring(); });
  return alarm->rung();
}

std::vector<SaveQueue::JobPtr> SaveQueue::jobs() const {
  const std::lock_guard lock(mutex_);
  std::vector<JobPtr> jobs;
  for (const Entry& entry : entries_) jobs.push_back(entry.job);
  return jobs;
}

SaveQueue::JobPtr SaveQueue::newest_of(Step step) const {
  const std::lock_guard lock(mutex_);
  JobPtr newest;
  for (const Entry& entry : entries_) {
    if (entry.job->step == step && !entry.job->settled) newest = entry.job;
  }
  return newest;
}

SaveQueue::JobPtr SaveQueue::first_undecided() const {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (!entry.job->settled) return entry.job;
  }
  return nullptr;
}

}  // namespace cairn::internal
