#pragma once
// The states in which a power loss may leave a root, and what a manager finds in them.
//
//   RecordedRun run(kind, {setup...}, max_to_keep);
//   run.save(1, 1); run.remove(1); run.finish();
//   CrashStates states(run);
//   states.violation(prefix, seed)      // empty, or how the promise was broken

#include <cairn/engine/faulty_backend.h>
#include <cairn/engine/internal/recording_impl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crash/history.h"
#include "support/temp_directory.h"

namespace cairn::test {

/// Saves and deletions through a recording backend.
class RecordedRun {
 public:
  /// `setup` is durable before the recording begins; without any, the root is not even there.
  /// `faults`, when given, lie between the recording and the disk.
  RecordedRun(engine::BackendKind kind, const Steps& setup,
              std::optional<std::int64_t> max_to_keep = std::nullopt,
              std::shared_ptr<engine::FaultPlan> faults = nullptr, bool incremental = false,
              Layout layout = Layout::ocdbt_zarr3, Atomicity atomicity = Atomicity::rename);
  ~RecordedRun();
  /// Saves, overwriting what is there; waits until the deletions that follow are over.
  void save(Step step, std::int64_t version);
  void remove(Step step);
  /// The same with a root that fails to sync, for runs with faults. The change is made, and certain
  /// with the next one that is acknowledged.
  void save_unknown(Step step, std::int64_t version);
  void remove_unknown(Step step);
  /// Closes the manager. Throws when what was acknowledged is not what was asked for.
  void finish();

  [[nodiscard]] const engine::Recording& recording() const { return *recording_; }
  [[nodiscard]] const engine::internal::TreeImage& start() const {
    return recording_->impl().durable;
  }
  [[nodiscard]] const std::vector<engine::internal::LogEntry>& log() const {
    recording_->impl().check_complete();
    return recording_->impl().log;
  }
  [[nodiscard]] const std::vector<Change>& changes() const { return changes_; }
  /// Whether saves link what has not changed.
  [[nodiscard]] bool incremental() const { return incremental_; }
  [[nodiscard]] Layout layout() const { return layout_; }
  [[nodiscard]] Atomicity atomicity() const { return atomicity_; }
  /// How many changes had been acknowledged when the first `prefix` mutations were done.
  [[nodiscard]] std::size_t acknowledged(std::size_t prefix) const;
  /// What is there after the first `count` changes.
  [[nodiscard]] Steps steps_after(std::size_t count) const;
  /// Changes beyond the acknowledged ones that may have come about: the one that was next, and
  /// before it those that will never be acknowledged.
  [[nodiscard]] std::vector<Change> pending(std::size_t prefix) const;
  /// "17 sync_all run/root/3.orbax-checkpoint-tmp/default", with the name that the file was made
  /// by.
  [[nodiscard]] std::string describe(std::size_t mutation) const;

 private:
  [[nodiscard]] std::string root() const;
  [[nodiscard]] std::string path_of(engine::internal::InodeId inode) const;

  TempDirectory directory_ = TempDirectory::in_memory();
  std::optional<std::int64_t> max_to_keep_;
  bool incremental_;
  Layout layout_;
  Atomicity atomicity_;
  Steps setup_;
  std::shared_ptr<engine::Recording> recording_;
  std::unique_ptr<CheckpointManager> manager_;
  std::shared_ptr<engine::FaultPlan> faults_;
  std::vector<Change> changes_;
};

class CrashStates {
 public:
  using IgnoreSync = engine::Recording::IgnoreSync;
  explicit CrashStates(const RecordedRun& run);

  /// Empty when the steps after this power loss are those acknowledged, or one change more, and
  /// each is whole.
  [[nodiscard]] std::string violation(std::size_t prefix, std::uint64_t seed,
                                      const IgnoreSync& ignore = {});
  /// Goes on after the power loss: the change that was under way is asked for again, and a further
  /// step saved. Empty, or what went wrong.
  [[nodiscard]] std::string continuation(std::size_t prefix, std::uint64_t seed,
                                         const IgnoreSync& ignore = {});

  /// States seen, and how many of them were looked at because a reader could tell them apart.
  [[nodiscard]] std::size_t seen() const { return seen_; }
  [[nodiscard]] std::size_t looked_at() const { return known_.size(); }

 private:
  [[nodiscard]] engine::internal::TreeImage crash(std::size_t prefix, std::uint64_t seed,
                                                  const IgnoreSync& ignore) const;
  [[nodiscard]] const Found& find(const engine::internal::TreeImage& image);
  [[nodiscard]] std::string go_on(const std::string& root, std::size_t prefix);

  const RecordedRun& run_;
  std::shared_ptr<engine::Engine> engine_;
  TempDirectory scratch_ = TempDirectory::in_memory();
  std::map<std::uint64_t, Found> known_;
  std::size_t seen_ = 0;
};

}  // namespace cairn::test
