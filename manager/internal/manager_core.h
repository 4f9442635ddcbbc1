#pragma once
// The manager behind its public face. Public members may run on any thread; everything that waits
// for the disk is a coroutine on the engine's strand that holds the core by shared_ptr, so that the
// core outlives whatever is under way.
//   manager_core.cpp            opening, listing, logging
//   manager_core_save.cpp       deciding, queueing, running and settling saves
//   manager_core_items.cpp      what a save's arguments become
//   manager_core_delete.cpp     deleting steps
//   manager_core_steps.cpp      restoring, metadata, waiting, closing
//   manager_core_latest.cpp     restoring the newest step that is sound
//   manager_core_processes.cpp  several processes
//   manager_core_deadlines.cpp  missed deadlines
//   manager_core_watch.cpp      waiting for steps of other processes
//   manager_core_exit.cpp       what is in a hurry because the process is about to end

#include <cairn/manager/checkpoint_manager.h>
#include <cairn/manager/internal/delete_job.h>
#include <cairn/manager/internal/error_board.h>
#include <cairn/manager/internal/preemption_agreement.h>
#include <cairn/manager/internal/retention.h>
#include <cairn/manager/internal/save_job.h>
#include <cairn/manager/internal/save_queue.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_index.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/step_records.h>
#include <cairn/manager/internal/step_rules.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace cairn {

class CheckpointManager::Impl : public std::enable_shared_from_this<CheckpointManager::Impl> {
 public:
  Impl(std::string directory, ManagerOptions options);
  /// Opens the root and lists it; blocks.
  void open();

  SaveFuture save(Step step, args::SaveArgs args, SaveOptions save_options);
  SaveFuture save_before_exit(Step step, args::SaveArgs args, ExitSaveOptions exit_options);
  Future<Restored> restore(std::optional<Step> step, args::RestoreArgs args,
                           RestoreOptions restore_options);
  Future<LatestValid> restore_latest_valid(args::RestoreArgs args, RestoreOptions restore_options);
  Future<boost::json::object> metrics(Step step);
  Future<RootMetadata> root_metadata();
  Future<StepMetadata> step_metadata(Step step);
  Future<ItemsMetadata> item_metadata(Step step);
  Future<HeldStep> wait_for_new_step(std::optional<std::chrono::milliseconds> timeout,
                                     std::optional<Step> after);
  Future<void> delete_step(Step step);
  Future<void> wait_until_finished();
  Future<void> close();
  void reload();
  [[nodiscard]] std::optional<Step> best_step() const;
  [[nodiscard]] bool should_save(Step step) const;
  [[nodiscard]] bool reached_preemption(Step step) const;
  Future<bool> agree_on_preemption(Step step);
  void notify_preemption() noexcept { preempted_ = true; }
  void check_usable() const;
  void log(LogLevel level, std::string event, std::optional<Step> step, std::string message,
           std::uint64_t bytes = 0, std::int64_t duration_ns = 0);

 private:
  /// Names of options that read_only has reset; filled while `options` is made.
  std::vector<std::string> reset_options_;
  ManagerOptions prepare(ManagerOptions given);

 public:
  const std::string directory;
  const ManagerOptions options;
  const internal::StepRules rules;
  const std::shared_ptr<engine::Engine> engine;
  internal::StepIndex index;
  [[nodiscard]] bool saving() const noexcept { return saving_ > 0; }
  internal::ErrorBoard board;

 private:
  using JobPtr = std::shared_ptr<internal::SaveJob>;
  using DeletePtr = std::shared_ptr<internal::DeleteJob>;
  using Reason = engine::Watchdog::Reason;

  /// What a save would do.
  struct Decision {
    SaveOutcome outcome = SaveOutcome::saved;  ///< `saved` where it would save
    bool supersedes = false;                   ///< and the later steps go
    bool refused = false;                      ///< it fails: on_older_step
  };
  /// Whether it is the step to save before the job ends; none where other processes have to agree
  /// first.
  [[nodiscard]] std::optional<bool> ask_reached(Step step) const;
  /// The same once they have, for which it waits. On an engine's strand it throws instead.
  [[nodiscard]] bool wait_reached(Step step) const;
  /// Whether a save is in a hurry.
  enum class Urgency : std::uint8_t {
    by_step,  ///< where its step is the one to save before the job ends
    last      ///< of a process that is about to end: it goes first in any case
  };
  /// How a save is called.
  struct Call {
    Urgency urgency = Urgency::by_step;
    JobPtr instead_of;  ///< a save of the step that has failed, or is cancelled, and is not over
  };
  /// `reached`: what wait_reached() says; none: it is asked.
  [[nodiscard]] Decision decide(Step step, const SaveOptions& save_options, Urgency urgency,
                                std::optional<bool> reached) const;
  [[nodiscard]] SaveOutcome ask_policy(Step step, bool supersedes,
                                       std::optional<bool> reached) const;
  [[nodiscard]] bool rolled_back_below(Step step) const noexcept;
  /// A save of the step takes the place of the run that was given up, of which there are later
  /// steps: those that another save is to delete, too, as that one may fail.
  [[nodiscard]] bool supersedes_above(Step step) const;
  void check_metrics(Step step, const SaveOptions& save_options);
  void check_mode(bool composite) const;
  /// The same for a restore that says what it wants.
  void check_mode(const args::RestoreArgs& args) const;
  /// That the rules of keeping do not tell what to delete.
  void report_retention(Step step, const Error& error);
  /// The step numbers that a save pushes out, by retention and by superseding.
  [[nodiscard]] std::vector<Step> choose_losers(const internal::StepRecord& incoming,
                                                bool supersedes);
  void add_items(internal::SaveJob& job, args::SaveArgs args) const;
  void add_item(internal::SaveJob& job, std::string name, args::ItemSave item) const;
  /// Throws where the item's earlier saves were by another handler.
  void check_binding(const std::string& item, const HandlerPtr& handler) const;
  void check_layout_for_processes(const args::ItemSave& item) const;
  [[nodiscard]] internal::TreeSettings tree_settings(const internal::SaveJob& job) const;
  SaveFuture save(Step step, args::SaveArgs args, SaveOptions save_options, const Call& call);
  /// What a call of save() comes to, as things are.
  struct Plan {
    explicit Plan(Step step) : record(step) {}
    Decision decision;
    bool overwrite = false;
    internal::StepRecord record;
    std::vector<Step> losers;
  };
  /// Asks the rules, and makes the job's items from `args` where there are none yet. Throws why the
  /// save is refused.
  [[nodiscard]] Plan plan_save(internal::SaveJob& job, args::SaveArgs& args, const Call& call,
                               std::optional<bool> reached);
  /// Queues it; null where it was skipped.
  JobPtr begin_save(Step step, args::SaveArgs args, SaveOptions save_options, const Call& call,
                    const std::shared_ptr<internal::SaveState>& state,
                    const internal::GroupScopePtr& scope);
  /// Nothing is to be saved, for this reason.
  void skip(const internal::SaveJob& job, SaveOutcome outcome);
  /// The save fails before it has begun.
  void refuse(internal::SaveState& state, Step step, std::exception_ptr reason,
              const internal::GroupScopePtr& scope);
  /// False, and nothing done, where a call has begun since there were `calls`.
  [[nodiscard]] bool enqueue(const JobPtr& job, Plan plan, bool first, std::uint64_t calls);
  void wait_as_asked(const JobPtr& job) const;
  internal::Task<void> run_save(JobPtr job);
  internal::Task<std::exception_ptr> follow_commit(JobPtr job, std::optional<std::string> replaced);

  internal::Task<void> run_delete(DeletePtr job);
  /// Nothing on disk where a save has replaced the step since the call.
  internal::Task<void> carry_out(DeletePtr job);
  /// Whether the step is gone is known: so is the list.
  void end_delete(const DeletePtr& job);
  void settle_delete(const DeletePtr& job, const std::exception_ptr& failure);
  /// What has lost its name, and the names of what is left of it.
  struct Retired {
    Retired() = default;
    std::vector<Step> steps;
    std::vector<std::string> trash;
  };
  /// Steps whose metadata is damaged are kept, also where their names alone were read.
  internal::Task<void> spare_damaged(JobPtr job);
  struct Deferred;
  /// Renames what saves pushed out. What cannot go yet is deferred again; after save_before_exit()
  /// that is all but superseded steps: the next process would go on from one of them.
  internal::Task<Retired> retire_losers(internal::FolderPtr root, std::vector<Deferred> losers);
  /// Before the manager is closed: superseded steps that readers held until now.
  internal::Task<void> retire_deferred(DeletePtr job);
  internal::Task<void> carry_out_deferred(DeletePtr job);
  /// Null where nothing of that kind is deferred.
  [[nodiscard]] DeletePtr begin_deferred();
  /// Of what has no name any more. It may be relieved of the turn meanwhile.
  internal::Task<void> remove_trash(internal::FolderPtr root, std::vector<std::string> trash);
  /// True while, or because, something is in a hurry.
  [[nodiscard]] bool removals_wait() const noexcept { return writer_->removals_wait(); }
  /// Takes its names from a step, durably; adds the trash that is left of it, if any, to `trash`,
  /// also where it fails. The step need not be there.
  internal::Task<void> retire(internal::FolderPtr root, Step step, std::vector<std::string>* trash);
  /// Gives back what the save pushed out only because of a save that has failed since.
  void confirm_losers(internal::SaveJob& job);
  /// Whether the newest step reads back; false where nothing is to be deleted now. Throws data_loss
  /// where it does not.
  internal::Task<bool> verify_newest(JobPtr job);

  /// Gives a save its outcome: cache, error board, futures. Once; later calls do nothing.
  void settle(const JobPtr& job, std::exception_ptr failure);
  /// Tells the board, the log and the futures.
  void report_failure(internal::SaveState& state, Step step, const std::exception_ptr& failure);
  void settle_failed(const JobPtr& job, const std::exception_ptr& failure);
  /// Lets the saves behind it, and those who wait, go on. Once.
  void release(const JobPtr& job);
  /// Starts to watch a save, a deletion or a clean-up: (this->*missed)(job, reason) is called on
  /// the strand when its deadline passes while both live.
  template <class Job>
  [[nodiscard]] std::unique_ptr<engine::Watchdog> watch(
      const std::shared_ptr<Job>& job, void (Impl::*missed)(const std::shared_ptr<Job>&, Reason));
  [[nodiscard]] Error deadline_error(Reason reason, ErrorCode code, std::string operation) const;
  /// The deadline has passed: settles with timed_out and leaves the coroutine to the quarantine.
  void expire(const JobPtr& job, Reason reason);
  void expire_clean_up(const JobPtr& job, Reason reason);
  void expire_delete(const DeletePtr& job, Reason reason);
  /// The same with what to say. Not for what has its result.
  void give_up(const JobPtr& job, const Error& error);
  void give_up_clean_up(const JobPtr& job, const Error& error);
  void give_up_delete(const DeletePtr& job, const Error& error);

  /// A save goes first: removals of files pause while it has no outcome. Strand.
  void begin_hurry(const JobPtr& job);
  void end_hurry(const JobPtr& job);
  /// Removes nothing more, and gives up at the deadline what is not over.
  void begin_leaving(std::chrono::milliseconds deadline);
  /// It has failed, or is cancelled: save_before_exit() of its step makes another one.
  [[nodiscard]] bool is_doomed(const internal::SaveJob& job) const;
  /// It is of a run that a roll-back has given up: likewise.
  [[nodiscard]] bool is_given_up(const internal::SaveJob& job) const;
  /// The new step does not read back: what was to be deleted for it, and is deferred, is not.
  void spare_unconfirmed(const internal::SaveJob& job);
  /// The new step does not read back, for that reason.
  void report_unverified(internal::SaveJob& job, const std::exception_ptr& reason);
  /// Throws where the new step does not read back, or it cannot be told.
  internal::Task<void> verify_step(Step step, const char* consequence);
  void give_up_all(std::chrono::milliseconds deadline);

  /// Returns when the root's lock is free, if this was the last writer.
  internal::Task<void> end_writing();
  void begin_background();
  void end_background(const std::exception_ptr& trouble);
  internal::Task<void> close_all();

  // Several processes (manager_core_processes.cpp). Each call of a kind gets the next number, so
  // that processes that call together mean the same by a name.
  using GroupScopePtr = internal::GroupScopePtr;
  /// Null where this process is alone.
  [[nodiscard]] GroupScopePtr next_scope(const std::string& what, std::atomic<std::uint64_t>& n);
  [[nodiscard]] bool is_primary() const noexcept { return !group_ || group_->is_primary(); }
  [[nodiscard]] bool shares_root() const noexcept { return group_ && group_->shares_root(); }
  internal::Task<std::vector<internal::StepRecord>> list_together(bool create, bool read,
                                                                  GroupScopePtr scope);
  /// As the primary lists it, or another.
  internal::Task<std::vector<internal::StepRecord>> list_by_role(bool create, bool read,
                                                                 GroupScopePtr scope);
  /// The primary: tells which steps have lost their names, after a commit.
  internal::Task<void> tell_losers(JobPtr job, std::vector<Step> gone);
  /// The others: hear it, and forget those.
  internal::Task<void> hear_losers(JobPtr job);
  /// The primary: tells whether the step is gone, and what failed; the others hear it.
  internal::Task<void> tell_delete(DeletePtr job, std::exception_ptr failure);
  internal::Task<void> hear_delete(DeletePtr job);
  internal::Task<Restored> restore_together(std::string root_path, std::optional<Step> step,
                                            args::RestoreArgs args, GroupScopePtr scope);
  /// What the leader restores, so that all do.
  internal::Task<Step> agree_on_step(std::string root_path, std::optional<Step> step,
                                     GroupScopePtr scope);
  /// Those that every process sees in its directory, ascending.
  internal::Task<std::vector<Step>> common_steps(std::string root_path, GroupScopePtr scope);
  internal::Task<Step> newest_step(std::string root_path);
  /// Tells one content of a step from another.
  internal::Task<std::string> digest_of(std::string root_path, Step step);

  [[nodiscard]] internal::WarnStep warn_step() const;
  internal::Task<std::vector<internal::StepRecord>> list_root(bool create, bool read);
  void list_directory(bool create, bool read, const std::string& operation,
                      const internal::GroupScopePtr& scope);
  internal::Task<void> clean_up_root();
  /// The writer's part of opening: leftovers go, the root's metadata is written.
  internal::Task<void> prepare_root();
  internal::Task<RootMetadata> find_root_metadata();
  internal::Task<boost::json::object> find_metrics(Step step);
  internal::Task<StepMetadata> find_step_metadata(Step step);
  internal::Task<ItemsMetadata> find_item_metadata(Step step);
  [[nodiscard]] internal::ReaderSettings reader_settings(Step step) const;
  /// A restore of an older step is a roll-back: a new one where it is not the step of the last.
  void note_restored(Step step) noexcept;
  /// Steps may have gone: without later ones there is no roll-back.
  void end_lone_roll_back();
  internal::Task<Restored> restore_from(std::string root_path, Step step, args::RestoreArgs args);
  /// The one record of a restore, from its beginning on the steady clock: of one that is good
  /// everywhere, and of one that is not, with the Error that it ends with.
  void report_restored(const std::string& root_path, Step step, const Restored& restored,
                       std::int64_t begin_ns);
  [[nodiscard]] std::exception_ptr report_unrestored(const std::string& root_path,
                                                     std::optional<Step> step,
                                                     const std::exception_ptr& failure,
                                                     std::int64_t begin_ns);
  internal::Task<Restored> restore_alone(std::string root_path, std::optional<Step> step,
                                         args::RestoreArgs args);
  /// `scope`: null where this process is alone.
  internal::Task<LatestValid> find_latest_valid(std::string root_path, args::RestoreArgs args,
                                                GroupScopePtr scope);
  internal::Task<LatestValid> try_alone(std::string root_path, args::RestoreArgs args);
  internal::Task<LatestValid> try_together(std::string root_path, args::RestoreArgs args,
                                           GroupScopePtr scope);
  internal::Task<std::string> path_of_step(std::string root_path, Step step);
  [[nodiscard]] Error forked_error(std::string operation) const;
  /// Of what a rule of this manager may not call.
  [[nodiscard]] Error rule_error(std::string operation) const;
  internal::Task<HeldStep> find_new_step(std::optional<std::chrono::milliseconds> timeout,
                                         std::optional<Step> above,
                                         std::shared_ptr<internal::CancelSwitch> cancel);
  internal::Task<HeldStep> watch_for_step(std::optional<std::chrono::milliseconds> timeout,
                                          std::optional<Step> above);
  /// Of those for new steps. Strand.
  void end_waits();

  const internal::Retention retention_;
  const SaveDecisionPolicy save_decision_;
  const internal::ProcessGroupPtr group_;                      ///< none where this process is alone
  std::shared_ptr<internal::PreemptionAgreement> preemption_;  ///< likewise
  const bool needs_records_;  ///< somebody asks for commit times or metrics, or steps are deleted
  std::shared_ptr<internal::WriterContext> writer_;
  internal::SaveQueue queue_;
  std::atomic<std::uint64_t> saves_{0};  ///< calls, as are the next three
  std::atomic<std::uint64_t> deletes_begun_{0};
  std::atomic<std::uint64_t> restores_{0};
  std::atomic<std::uint64_t> listings_{0};
  std::atomic<std::size_t> saving_{0};  ///< saves without an outcome
  bool opened_ = false;                 ///< the constructor is done
  /// Saves begin one at a time. Not for the strand: the rules of saving are asked under it, and may
  /// wait for the strand.
  std::mutex order_;
  /// A save, deletion or close() begins. No function of the user's is called under it.
  std::mutex calls_;
  std::atomic<std::uint64_t> calls_begun_{0};  ///< under calls_; what was decided before is stale
  std::atomic<bool> closed_{false};            ///< set under calls_
  mutable std::mutex mutex_;                   ///< guards what follows
  std::optional<bool> composite_;              ///< the mode, fixed by the first successful save
  std::map<std::string, HandlerPtr> bound_;    ///< by item, settled by its first successful save
  std::mutex log_mutex_;
  std::size_t writers_ = 0;     ///< strand: saves and deletions not yet over
  std::size_t background_ = 0;  ///< strand: deletions that nobody waits for
  internal::Event drained_;     ///< strand: set when `background_` is 0 again; null until then
  std::atomic<bool> commit_unknown_ =
      false;  ///< the last sync of a commit failed: the root is to be synced
  std::vector<std::string> replaced_;  ///< strand: trash of overwritten steps that a reader held
  /// A deletion to try again after the next save, and the save that pushed the step out.
  struct Deferred {
    Step step;
    internal::StepIndex::SaveId by;
    bool superseded = false;  ///< it is of a run that was given up
    bool confirmed = false;   ///< and the step that it goes for has read back
  };
  /// Of a step that the save pushes out.
  [[nodiscard]] static Deferred deferral(const internal::SaveJob& job, Step step) {
    return {step, job.listed, job.supersedes && step > job.step};
  }
  /// False once the step has been replaced, or spared.
  [[nodiscard]] bool is_due(const Deferred& deletion) const {
    return index.is_condemned(deletion.step, deletion.by);
  }
  /// What a run has superseded must not come back where the save that is to replace it fails: it
  /// goes although the step is being saved.
  [[nodiscard]] bool is_replaced(const Deferred& deletion) const {
    return deletion.superseded && index.is_taken_back(deletion.step, deletion.by);
  }
  std::vector<Deferred> deferred_;                           ///< strand
  std::set<std::shared_ptr<internal::CancelSwitch>> waits_;  ///< strand: for new steps
  std::set<DeletePtr> deletes_;                      ///< strand: by the user, without a result
  std::unique_ptr<engine::Watchdog> exit_watchdog_;  ///< strand
  static constexpr Step kNone = -1;
  /// A step below the latest was restored: a roll-back, until a save has gone above that latest
  /// step or has taken its place, or no later step is left.
  std::atomic<Step> restored_older_{kNone};
  std::atomic<Step> rolled_back_from_{kNone};  ///< the latest step when one was last restored
  std::atomic<std::uint64_t> roll_backs_{0};   ///< so far
  std::atomic<bool> preempted_{false};
  mutable std::atomic<Step> preemption_step_{kNone};  ///< agreed on
};

}  // namespace cairn
