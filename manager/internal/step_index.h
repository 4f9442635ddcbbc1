#pragma once
// The cached list of steps. Thread-safe; holds no I/O.

#include <cairn/manager/save_future.h>

#include <mutex>
#include <optional>
#include <set>
#include <vector>

namespace cairn::internal {

class StepIndex {
 public:
  /// Around a listing of the directory: what commits or goes while it is read is not lost.
  /// end_listing() replaces what was committed; saves under way and deletions chosen stay.
  [[nodiscard]] std::size_t begin_listing();
  void end_listing(std::size_t mark, const std::vector<Step>& committed);
  /// The listing failed.
  void abort_listing();
  /// True while a deletion is chosen.
  [[nodiscard]] bool is_condemned(Step step) const;
  /// True from begin_save() to commit() or abort().
  [[nodiscard]] bool is_saving(Step step) const;
  [[nodiscard]] std::vector<Step> all() const;
  [[nodiscard]] std::optional<Step> latest() const;
  [[nodiscard]] std::optional<Step> latest_committed() const;
  [[nodiscard]] bool contains(Step step) const;

  /// Begins a save: the step counts at once. Returns the steps that it pushes out when
  /// `max_to_keep` are kept, itself included where it may not stay; they leave the list.
  [[nodiscard]] std::vector<Step> begin_save(Step step, std::optional<std::int64_t> max_to_keep);
  /// The save is durable. A step that it, or a later save, pushed out is not listed again.
  void commit(Step step);
  /// The save failed: it goes, what it had pushed out comes back.
  void abort(Step step, const std::vector<Step>& losers);
  /// A deletion is chosen: the step leaves the list. False when it is not listed as committed.
  [[nodiscard]] bool begin_delete(Step step);
  /// It failed: the step comes back.
  void abort_delete(Step step);
  /// It is done.
  void finish_delete(Step step);

 private:
  struct Change {
    Step step;
    bool there;
  };
  [[nodiscard]] std::set<Step> visible() const;
  void note(Step step, bool there);
  mutable std::mutex mutex_;
  std::set<Step> committed_;  ///< on disk
  std::set<Step> saving_;
  std::size_t listings_ = 0;     ///< under way
  std::vector<Change> changes_;  ///< since the oldest of them began
  std::set<Step> condemned_;     ///< chosen for deletion; on disk or being saved
};

}  // namespace cairn::internal
