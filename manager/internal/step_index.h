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
  /// True while a save pushes it out, and none that began later is to take its place.
  [[nodiscard]] bool is_condemned(Step step) const;
  /// What `by` has pushed out of it is there, or may be yet: on disk, or being saved.
  [[nodiscard]] bool is_condemned(Step step, SaveId by) const;
  /// This save, under way, is of a run that another one has superseded.
  [[nodiscard]] bool is_superseded(Step step, SaveId save) const;
  /// True while a save of it is under way: from begin_save() to commit() or abort().
  [[nodiscard]] bool is_saving(Step step) const;
  [[nodiscard]] std::vector<Step> all() const;
  /// The same steps with what is known of them, as they are now. Made once per change.
  using Records = std::vector<StepRecord>;
  [[nodiscard]] std::shared_ptr<const Records> records() const;
  /// It is committed, and nobody has looked at its metadata.
  [[nodiscard]] bool is_unread(Step step) const;
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
  /// leave the list, and are returned. `supersedes`: all later steps are of a run that was given
  /// up, also those that another save pushes out already: that one may fail.
  [[nodiscard]] BegunSave begin_save(const StepRecord& record, const std::vector<Step>& losers,
                                     bool supersedes = false);
  /// The save is durable, and this is known of its step now. A step that it, or a later save,
  /// pushed out is not listed again. After abort(), too: a save may commit after its deadline.
  void commit(SaveId save, StepRecord record);
  /// The save failed: it goes, what no other save has pushed out comes back. `may_be_there`: what
  /// it has made may be on disk nevertheless; then nothing is to be deleted that saves before it
  /// pushed out of the step, and what later ones pushed out is to be deleted if it is there.
  void abort(SaveId save, bool may_be_there = false);
  /// A step that `by` pushed out need not go: unless another save pushes it out, it comes back.
  void spare(Step step, SaveId by);
  /// The same for all that have pushed it out, up to `by`.
  void spare_up_to(Step step, SaveId by);
  /// What is committed of it is gone; saves of it that are under way stay.
  void forget(Step step);
  /// What `by` has pushed out of it is on disk, and a save that began later is to take its place.
  [[nodiscard]] bool is_taken_back(Step step, SaveId by) const;
  /// A save of it is under way that has been pushed out itself.
  [[nodiscard]] bool is_saving_condemned(Step step) const;
  /// There are later steps, listed or pushed out.
  [[nodiscard]] bool knows_above(Step step) const;

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
  struct Saving {
    SaveId id;
    StepRecord record;
    [[nodiscard]] Step step() const noexcept { return record.info.step; }
  };
  [[nodiscard]] bool deleting(Step step) const;
  /// What is committed of it is listed.
  [[nodiscard]] bool stays(Step step) const;
  [[nodiscard]] bool visible(Step step) const;
  /// A save of it is under way that no later one has pushed out.
  [[nodiscard]] bool will_stay(Step step) const;
  /// What this save makes of the step, or has made, is pushed out by itself or by a later one.
  [[nodiscard]] bool condemned(Step step, SaveId save) const;
  [[nodiscard]] bool condemned(const Saving& save) const { return condemned(save.step(), save.id); }
  /// The save that has made what is committed of it; what was there before all is of save 0.
  [[nodiscard]] SaveId maker(Step step) const;
  /// The saves for which `is_over` do not push it out any more.
  template <class Predicate>
  void uncondemn(Step step, const Predicate& is_over);
  /// Forgets who has pushed out what is not there any more, nor will be.
  void prune(Step step);
  void erase(Step step);
  void mark_distrusted();
  void leave_listing();
  void note(Step step, std::optional<StepRecord> record);
  mutable std::mutex mutex_;
  RecordOf committed_;          ///< on disk
  std::vector<Saving> saving_;  ///< in the order of their calls
  std::uint64_t saves_ = 0;     ///< begun so far
  std::size_t listings_ = 0;    ///< under way
  std::uint64_t listings_begun_ = 0;
  std::uint64_t listed_ = 0;         ///< the number of the listing that committed_ is from
  std::vector<Change> changes_;      ///< since the oldest of them began
  std::map<Step, SaveId> saved_by_;  ///< which save of this manager has committed it, if any
  struct Condemnation {
    SaveId by;        ///< of what is older than it, or is its own
    bool superseded;  ///< as a step of a run that was given up
  };
  /// What saves have pushed out, on disk or being saved, in the order of the saves. Each may fail,
  /// and then only the others count.
  std::map<Step, std::vector<Condemnation>> condemned_;
  std::set<Step> distrusted_;                        ///< committed, and not readable
  std::vector<Deletion> deleting_;                   ///< those of the user's that are due
  std::uint64_t deletes_ = 0;                        ///< begun so far
  mutable std::shared_ptr<const Records> snapshot_;  ///< null: to be made
};

}  // namespace cairn::internal
