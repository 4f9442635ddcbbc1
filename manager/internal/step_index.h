#pragma once
// The cached list of steps and what policies ask of them. Thread-safe; holds no I/O.

#include <cairn/manager/checkpoint_info.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

namespace cairn::internal {

/// What is known of a step.
struct StepRecord {
  explicit StepRecord(Step step = 0) : info(step) {}
  explicit StepRecord(CheckpointInfo i) : info(std::move(i)) {}
  CheckpointInfo info;
  bool unread = false;  ///< its name alone is known
};

class StepIndex {
 public:
  /// Tells saves apart: several of one step may be under way, each to replace the one before.
  enum class SaveId : std::uint64_t {};

  struct Listing {
    std::uint64_t number;  ///< in the order of their beginnings
    std::size_t mark;      ///< changes before it
  };
  /// Around a listing of the directory: what commits or goes while it is read is not lost.
  /// end_listing() replaces what was committed, unless a listing that began later already has;
  /// saves under way and deletions chosen stay.
  [[nodiscard]] Listing begin_listing();
  void end_listing(Listing listing, const std::vector<StepRecord>& committed);
  /// The listing failed.
  void abort_listing();
  /// What is committed of the step does not read back: until it is replaced it counts as damaged,
  /// whatever its metadata says.
  void distrust(Step step);
  /// True while a save pushes it out.
  [[nodiscard]] bool is_condemned(Step step) const;
  /// Likewise, and no save of it that began after `by` has committed: what `by` pushed out has not
  /// been replaced.
  [[nodiscard]] bool is_condemned(Step step, SaveId by) const;
  /// True while a save of it is under way: from begin_save() to commit() or abort().
  [[nodiscard]] bool is_saving(Step step) const;
  [[nodiscard]] std::vector<Step> all() const;
  /// The same steps with what is known of them, as they are now. Made once per change.
  using Records = std::vector<StepRecord>;
  [[nodiscard]] std::shared_ptr<const Records> records() const;
  /// What is on disk for good: saves under way and steps that the user deletes left out, those that
  /// saves push out not.
  [[nodiscard]] Records settled() const;
  [[nodiscard]] std::optional<Step> latest() const;
  [[nodiscard]] std::optional<Step> latest_committed() const;
  /// What to restore: the same; where there is none, the latest that saves push out and that is
  /// there still.
  [[nodiscard]] std::optional<Step> latest_to_restore() const;
  /// latest_committed() with all that are to go and are there still.
  [[nodiscard]] std::optional<Step> latest_on_disk() const;
  [[nodiscard]] bool contains(Step step) const;

  struct BegunSave {
    SaveId id{};
    std::vector<Step> losers;
  };
  /// Begins a save: the step counts at once. Of `losers` those that are there, itself included,
  /// leave the list, and are returned. `supersedes`: the later ones are of a run that was given up.
  [[nodiscard]] BegunSave begin_save(const StepRecord& record, const std::vector<Step>& losers,
                                     bool supersedes = false);
  /// The save is durable, and this is known of its step now. A step that it, or a later save,
  /// pushed out is not listed again. After abort(), too: a save may commit after its deadline.
  void commit(SaveId save, StepRecord record);
  /// The save failed: it goes, what it had pushed out comes back. A superseded step that it was to
  /// replace is superseded again.
  void abort(SaveId save, const std::vector<Step>& losers);
  /// What `from` has pushed out is pushed out by `to`.
  void hand_over(SaveId from, SaveId to);
  /// A step that a save pushed out need not go: it comes back.
  void spare(Step step);
  /// It is gone.
  void forget(Step step);
  /// True where what is committed of the step is older than `by`, and a save of it is under way,
  /// which has taken it back from whoever pushed it out.
  [[nodiscard]] bool is_taken_back(Step step, SaveId by) const;
  /// What is committed of it is gone; a save of it that is under way stays.
  void lose(Step step);

  /// Tells apart the deletions that the user chooses.
  enum class DeleteId : std::uint64_t {};
  /// Begins one: what is committed of the step leaves the list. None when it is not listed as
  /// committed.
  [[nodiscard]] std::optional<DeleteId> begin_delete(Step step);
  /// False once a save of the step has committed since: what was to be deleted is gone, replaced. A
  /// save that has only begun, or failed, changes nothing.
  [[nodiscard]] bool is_due(DeleteId deletion) const;
  /// It failed: the step comes back. Nothing where it is not due.
  void abort_delete(DeleteId deletion);
  /// It is done. Nothing where it is not due.
  void finish_delete(DeleteId deletion);

 private:
  struct Change {
    Step step;
    std::optional<StepRecord> record;  ///< none: it is gone
  };
  using RecordOf = std::map<Step, StepRecord>;
  struct Deletion {
    DeleteId id;
    Step step;
  };
  [[nodiscard]] bool saving(Step step) const;
  [[nodiscard]] bool deleting(Step step) const;
  /// What is committed of it is listed.
  [[nodiscard]] bool stays(Step step) const;
  [[nodiscard]] bool visible(Step step) const;
  void erase(Step step);
  void uncondemn(Step step);
  /// A save of the step that took it back from `by` has failed.
  void condemn_again(Step step, SaveId by);
  /// What is committed of it is older than `by`.
  [[nodiscard]] bool is_older(Step step, SaveId by) const;
  void mark_distrusted();
  void leave_listing();
  void note(Step step, std::optional<StepRecord> record);
  mutable std::mutex mutex_;
  RecordOf committed_;  ///< on disk
  struct Saving {
    SaveId id;
    StepRecord record;
    std::optional<SaveId> took_back;  ///< from this save, which had superseded the step
  };
  std::vector<Saving> saving_;  ///< in the order of their calls
  std::uint64_t saves_ = 0;     ///< begun so far
  std::size_t listings_ = 0;    ///< under way
  std::uint64_t listings_begun_ = 0;
  std::uint64_t listed_ = 0;         ///< the number of the listing that committed_ is from
  std::vector<Change> changes_;      ///< since the oldest of them began
  std::map<Step, SaveId> saved_by_;  ///< which save of this manager has committed it, if any
  struct Condemnation {
    SaveId by;
    bool superseded;
  };
  std::map<Step, Condemnation> condemned_;  ///< pushed out by saves; on disk or being saved
  std::set<Step> distrusted_;               ///< committed, and not readable
  std::vector<Deletion> deleting_;          ///< those of the user's that are due
  std::uint64_t deletes_ = 0;               ///< begun so far
  mutable std::shared_ptr<const Records> snapshot_;  ///< null: to be made
};

}  // namespace cairn::internal
