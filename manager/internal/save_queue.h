#pragma once
// Saves that are not over, in the order in which they take staging memory. Thread-safe.
//
// A save captures once every save before it is staged, that is, holds all the memory it will ever
// ask for: so two saves never wait for each other's buffers. Whoever is to go first passes those
// that have not begun to capture, never one that has. It asks again at once: it must not wait for
// a save that it has passed, which waits for it.

#include <cairn/manager/internal/save_job.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace cairn::internal {

class SaveQueue {
 public:
  using JobPtr = std::shared_ptr<SaveJob>;

  /// `max_pending`: saves that may wait behind the running one with their arrays captured.
  explicit SaveQueue(std::size_t max_pending) : places_(max_pending + 1) {}

  /// `first`: as promote() puts it, which tells whom.
  std::vector<JobPtr> push(const JobPtr& job, bool first);
  /// Puts it before all that have not begun to capture, but behind those promoted before; it needs
  /// no place of max_pending. Where it waits, it asks again. Older saves of its step go before it,
  /// in the same way: committed later, they would take its place. Returns all of these, it last.
  std::vector<JobPtr> promote(const SaveJob& job);
  /// It is over, or has been given up. Before its events are set: who waits for them asks again.
  void remove(const SaveJob& job);

  /// What `job` waits for before it asks again; null: it captures from now on.
  [[nodiscard]] Event begin_capture(const SaveJob& job);

  [[nodiscard]] std::vector<JobPtr> jobs() const;
  /// Of the saves of this step without an outcome, the one that was called last; or null.
  [[nodiscard]] JobPtr newest_of(Step step) const;
  /// Of the saves without an outcome, the first; or null.
  [[nodiscard]] JobPtr first_undecided() const;

 private:
  /// Ends a wait of a save, for whichever reason comes first.
  class Alarm {
   public:
    void ring() {
      if (!ringing_.exchange(true)) rung_->set(nullptr, impl::Unit());
    }
    [[nodiscard]] const Event& rung() const noexcept { return rung_; }

   private:
    std::atomic<bool> ringing_{false};
    Event rung_ = std::make_shared<impl::SharedState<void>>();
  };
  using AlarmPtr = std::shared_ptr<Alarm>;
  struct Entry {
    explicit Entry(JobPtr j) : job(std::move(j)) {}
    JobPtr job;
    bool first = false;
    bool capturing = false;  ///< or staged
    AlarmPtr alarm;          ///< of its last wait
  };
  using Entries = std::vector<Entry>;
  /// Of a new wait of `entry` until `event`, or until it is promoted.
  [[nodiscard]] static Event alarm_at(const Event& event, Entry& entry);
  [[nodiscard]] Entries::iterator place_of(const SaveJob& job);
  /// Returns what ends its wait, if it has one.
  [[nodiscard]] AlarmPtr put_first(Entries::iterator from);

  const std::size_t places_;
  mutable std::mutex mutex_;
  Entries entries_;  ///< those of one step in the order of their calls
};

}  // namespace cairn::internal
