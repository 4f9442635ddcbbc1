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
  /// Replaces what was committed; saves under way and deletions chosen stay.
  void reset(const std::vector<Step>& committed);
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
  [[nodiscard]] std::set<Step> visible() const;
  mutable std::mutex mutex_;
  std::set<Step> committed_;  ///< on disk
  std::set<Step> saving_;
  std::set<Step> condemned_;  ///< chosen for deletion; on disk or being saved
};

}  // namespace cairn::internal
