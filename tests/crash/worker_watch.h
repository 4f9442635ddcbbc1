#pragma once
// What the parent of a kill_worker knows: which steps are certain, which change is under way, and
// in which phase of it the worker was when it died.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crash/history.h"

namespace cairn::test {

enum class Phase : std::uint8_t {
  idle,            ///< opening, or between two changes
  prepare,         ///< of a save: lock, leftovers, directories
  write_data,      ///< until the first sync
  sync_metadata,   ///< metadata, markers, syncs, until the rename
  commit,          ///< rename or exchange, and the root's sync
  remove_old,      ///< after the commit: retention, or the overwritten content
  delete_prepare,  ///< of a deletion: until the rename
  delete_rename,   ///< rename to trash, and the root's sync
  delete_unlink,   ///< until the deletion is acknowledged
};
inline constexpr std::size_t kPhases = 9;
[[nodiscard]] std::string_view to_string(Phase phase) noexcept;

class WorkerWatch {
 public:
  /// `steps` are certain before the worker starts.
  WorkerWatch(Steps steps, std::size_t max_to_keep);

  /// Takes one line of the worker's. An "error" line is kept in error().
  void hear(std::string_view line);

  /// The sets of steps that may be found when the worker dies now.
  [[nodiscard]] std::vector<Steps> allowed() const;
  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  [[nodiscard]] const std::string& error() const noexcept { return error_; }

 private:
  void begin(const Change& change);
  void acknowledge(std::string_view label);
  void operation(std::string_view name);
  void queue_losers();

  Steps steps_;
  std::size_t max_to_keep_;
  std::vector<Change> under_way_;  // one after the other; the first is the one that acts
  Phase phase_ = Phase::idle;
  std::string error_;
};

}  // namespace cairn::test
