#pragma once
// Waiting for a step that somebody else commits. What counts is what the directory shows when it is
// looked at; inotify only tells when to look. One wait:
//   1. Open the root and list the steps above the last one. The first that can be held ends it.
//   2. Watch what would change this: the root; of steps with their names that have no markers yet,
//      their directories; where there is no root, the nearest directory above it that there is.
//   3. Where one of them was not watched before, 1 again: something may have appeared meanwhile.
//   4. Sleep until one of them hears of a name that counts, or until it is time to look anyway.
// A root that is replaced by another is opened, and watched, in the next round.

#include <cairn/engine/directory_watch.h>
#include <cairn/manager/internal/step_hold.h>

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cairn::internal {

struct WatchSettings {
  WatchSettings() = default;
  std::string directory;  ///< absolute
  StepRules rules;
  bool latest_only = false;
  std::chrono::milliseconds poll_interval{1000};
  std::function<void(std::string)> warn;  ///< may be empty; the strand calls it
};

/// So long from now, or for ever, as far as a job is concerned: no sum overflows.
[[nodiscard]] engine::Clock::Duration later(engine::Clock& clock, std::chrono::milliseconds span);

/// Of one root. On the strand, one wait at a time.
class StepWatch {
 public:
  using Deadline = std::optional<engine::Clock::Duration>;
  StepWatch(EnginePtr engine, WatchSettings settings);

  /// A step above `above` (none: any), held: the lowest, or with latest_only the highest. Null at
  /// `deadline`, by the engine's clock; before that the root has been looked at once, and again
  /// when it has passed. Each wait's `above` is at least that of the one before. A step that was
  /// passed because it was being deleted, and is there still, comes once it can be held, below
  /// `above` as it may be by then; not with latest_only.
  Task<StepHoldPtr> wait(std::optional<Step> above, Deadline deadline);

 private:
  struct Seen {
    FolderPtr folder;
    engine::WatchedDirectory::Wanted wanted;
  };
  /// Looks, and notes in `seen_` what would have shown more.
  Task<StepHoldPtr> look(std::optional<Step> above);
  Task<StepHoldPtr> look_into(FolderPtr root, std::optional<Step> above);
  /// Those above it, and those that were passed.
  Task<ListedSteps> list_wanted(FolderPtr root, std::optional<Step> above);
  Task<void> see_begun(FolderPtr root, std::vector<ListedStep> begun);
  Task<void> see_above();
  void see(FolderPtr folder, engine::WatchedDirectory::Wanted wanted);
  /// Has what was seen watched; false where it is to be looked at again at once. Where nothing was,
  /// because it may not be read, polling is what is left.
  Task<bool> watch_seen();
  [[nodiscard]] engine::Clock::Duration next_look();

  const EnginePtr engine_;
  const WatchSettings settings_;
  engine::DirectoryWatch watch_;
  std::vector<Seen> seen_;
  std::set<Step> passed_;  ///< being deleted when a later one was given
  bool deleting_ = false;  ///< a step was, at the last look: should that fail, nothing tells
  bool polling_ = false;
  bool warned_ = false;
};

}  // namespace cairn::internal
