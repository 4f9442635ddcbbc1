#pragma once
// Saves and restores the steps of one directory. The contract is Orbax's CheckpointManager.

#include <cairn/export.h>
#include <cairn/manager/args.h>
#include <cairn/manager/error.h>
#include <cairn/manager/future.h>
#include <cairn/manager/held_step.h>
#include <cairn/manager/latest_valid.h>
#include <cairn/manager/metadata.h>
#include <cairn/manager/options.h>
#include <cairn/manager/save_future.h>
#include <cairn/manager/step_metadata.h>

#include <boost/json/object.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn {

/// Every member may be called from any thread, at any time; members that give Futures do no disk
/// I/O before they return. Getters read the cached list of steps. Errors are of type Error; in a
/// child forked after the manager was made whatever needs its state fails with closed.
///
///     cairn::CheckpointManager manager("/data/run7", {.max_to_keep = 3});
///     cairn::SaveFuture save = manager.save(step, cairn::Dict{{"w", cairn::ArrayView(w)}});
///     co_await save.staged();      // w may change again
///     co_await save.committed();   // the step is durable
///
/// g++ 12 cannot have braced lists, aggregates, capturing lambdas or `?:` of classes inside a
/// co_await expression ("array used as initializer", or a value destroyed twice): make the future
/// before it, as here.
class CAIRN_EXPORT CheckpointManager {
 public:
  /// Makes or opens the root and lists its steps; blocks for that. Takes no lock and writes nothing
  /// else, unless cleanup_tmp_directories or metadata ask for it. Throws Error: not_found (root
  /// missing, and create off or read_only on), invalid_argument (root is a file, options),
  /// permission_denied.
  explicit CheckpointManager(std::string directory, ManagerOptions options = {});
  /// close(), with errors going to the logger.
  ~CheckpointManager();
  CheckpointManager(CheckpointManager&&) noexcept;
  CheckpointManager& operator=(CheckpointManager&&) noexcept;

  /// The root, as an absolute path.
  [[nodiscard]] const std::string& directory() const noexcept;
  /// What it runs on: the one of the options, or the process's shared one. Its executor() is where
  /// coroutines may await futures without another thread; other managers may use it, too.
  [[nodiscard]] const std::shared_ptr<engine::Engine>& engine() const noexcept;

  /// Steps, ascending; the one whose save is under way included, those chosen for deletion not.
  /// read = true lists the directory first (and blocks for it).
  [[nodiscard]] std::vector<Step> all_steps(bool read = false) const;
  /// The largest of all_steps(), or none.
  [[nodiscard]] std::optional<Step> latest_step() const;
  /// The same without saves under way.
  [[nodiscard]] std::optional<Step> latest_committed_step() const;
  /// The best step by best_fn and best_mode, the later of equals; none where no step has metrics.
  /// Without best_fn: latest_step(). Throws what best_fn throws.
  [[nodiscard]] std::optional<Step> best_step() const;
  /// Lists the directory anew, with metrics and commit times where an option asks for them; blocks.
  void reload();

  /// Whether save(step) without force would save, or would fail because of on_older_step: no step
  /// of this number or later is there (in a roll-back, and above the restored step, such steps do
  /// not count, unless on_older_step is skip), and the options say so (save_interval_steps,
  /// save_on_steps, should_save_fn, save_decision_policy; by default the first step of an empty
  /// root, and the step to save before the job ends, too). No disk I/O. With several processes and
  /// a notice it waits as reached_preemption() does; where it would have to on an engine's thread
  /// it throws invalid_argument, and save() without force fails with it: await
  /// agree_on_preemption() first. Throws what a function of the user's throws.
  [[nodiscard]] bool should_save(Step step) const;
  /// True for the step to save before the job ends: the first one asked about after a notice, by
  /// notify_preemption() here or of the process (manager/preemption.h). Of several processes any
  /// may have the notice: the step is the first that none of them has passed, and once there is a
  /// notice the call waits for them to agree; where they do not within 10 s there is no such step.
  /// With several processes it throws invalid_argument on an engine's thread, which cannot wait.
  [[nodiscard]] bool reached_preemption(Step step) const;
  /// The same without blocking the thread, for coroutines on an engine, too:
  ///
  ///     const bool last = co_await manager.agree_on_preemption(step).result();
  ///
  /// What it says of a step should_save(step) and save(step) then know without waiting.
  Future<bool> agree_on_preemption(Step step) const;
  /// The job is about to end. Async-signal-safe; never undone.
  void notify_preemption() noexcept;

  /// Starts a save and returns at once (unless options.enable_async_checkpointing or
  /// create_directories_asynchronously is off); never throws (bad_alloc aside). Values given by
  /// value are captured here, arrays when staged() completes. Saves run in the order of the calls;
  /// but the save of a step for which reached_preemption() is true goes before those that do not
  /// write yet (with several processes in its turn), and removals of files wait for it. Errors
  /// through the future: already_exists, invalid_argument (names item and key path), no_space, busy
  /// (another process, or another manager of this one, writes here: host and pid), io_error,
  /// commit_unknown, cancelled, timed_out, closed.
  SaveFuture save(Step step, args::SaveArgs args, SaveOptions options = {});
  /// The last save of a process that is about to end:
  ///
  ///     if (manager.reached_preemption(step)) {
  ///       const SaveResult last = manager.save_before_exit(step, state()).get();
  ///       return;  // ~CheckpointManager waits until the deadline at most
  ///     }
  ///
  /// Saves whatever the policy of should_save() says and goes before every save that does not write
  /// yet (with several processes in its turn; see ARCHITECTURE.md); in a roll-back on_older_step
  /// applies as to every save. Where the step is being saved already, the newest such save takes
  /// this one's place and the future is its, unless that is cancelled, has failed or is of the run
  /// that a roll-back gave up (with several processes a failure is told by the future: call it
  /// again); where the step has been saved, the save is skipped. From the call on the manager
  /// deletes nothing more, but that superseded steps lose their names: what it was deleting is left
  /// to the next writer of the root, and delete_step() fails with `cancelled`. At options.deadline
  /// everything that is not over, other saves included, fails with timed_out (commit_unknown where
  /// the rename was issued).
  SaveFuture save_before_exit(Step step, args::SaveArgs args, ExitSaveOptions options = {});

  /// Reads a step (none = latest_committed_step(), or where a save under way pushes all of them out
  /// the newest of those, or the newest of options.directory) and checks every checksum. Errors:
  /// not_found (lists the steps or items there are), incomplete_checkpoint, data_loss (file,
  /// offset, array, chunk), step_deleted, not_supported, invalid_argument (the arguments do not fit
  /// the item; or they name items where this manager has saved single ones, or none where it has
  /// saved several). Future::cancel() stops it.
  Future<Restored> restore(std::optional<Step> step = std::nullopt, args::RestoreArgs args = {},
                           RestoreOptions options = {}) const;

  /// The same for the newest step that can be restored with every checksum of what is read right;
  /// newer ones were skipped, and are in the result with the error of each. Steps are tried from
  /// the newest on, into the same arrays and memory; what says that the arguments or this process
  /// are at fault (invalid_argument, resource_exhausted, ...) ends it. A step below the latest is a
  /// roll-back, as it is for restore(). Errors: not_found without steps; where none is sound, the
  /// newest one's.
  Future<LatestValid> restore_latest_valid(args::RestoreArgs args = {},
                                           RestoreOptions options = {}) const;

  /// The metrics stored with a step; empty when there are none.
  Future<boost::json::object> metrics(Step step) const;
  /// What the root says of itself; where nothing has been written, the options' metadata.
  Future<RootMetadata> metadata() const;
  /// What a step says of itself, with item_metadata(step). Metrics, times and handlers are empty
  /// where its metadata file is missing, or cannot be read, which is logged. Errors: not_found,
  /// incomplete_checkpoint, step_deleted.
  Future<StepMetadata> metadata(Step step) const;
  /// Shapes, dtypes and sizes of the items of a step, whose values are not read; none for an item
  /// that no known handler reads, or that is not what its handler expects, which is logged.
  Future<ItemsMetadata> item_metadata(Step step) const;

  /// Waits until a step above `after` is committed, as a rule by another process, and gives the
  /// newest there is, held against deletion; none when `timeout` has passed first (no timeout: for
  /// ever; 0: what is there now). Without `after`: above latest_committed_step(). A step that is
  /// saved at or below it, as after a roll-back, is never reported: where a wait has timed out,
  /// reload() and look at latest_committed_step(). When it gives a step the list of steps has been
  /// read anew. Writes nothing; the root may be replaced meanwhile. To get each step, or before
  /// there is a root: StepIterator, whose errors it has. Future::cancel() ends it, and so does
  /// close().
  Future<HeldStep> wait_for_new_step(
      std::optional<std::chrono::milliseconds> timeout = std::nullopt,
      std::optional<Step> after = std::nullopt);

  /// Deletes a step: gone for readers when it completes, its blocks freed then too (unless
  /// todelete_subdir keeps it). It waits for its turn; a save of the step that commits before (one
  /// in a hurry passes it) has replaced what was to be deleted, so the new step stays and the
  /// future succeeds. Errors: not_found, permission_denied (read_only), busy (a reader holds it,
  /// the step is being saved, or another process or manager writes here).
  Future<void> delete_step(Step step);

  /// Completes when no save is pending, deletions included; throws what pending saves failed with
  /// (several: one Error naming the first and how many).
  Future<void> wait_until_finished();
  /// Throws the errors of finished saves that nobody has seen, and what a function of the user's
  /// threw where steps to delete were to be chosen.
  void check_for_errors();
  /// True from save() until its commit or failure.
  [[nodiscard]] bool is_saving_in_progress() const;
  /// Waits as wait_until_finished() does, and for deletions in the background. Saves and deletions
  /// asked for later fail with closed; steps can still be read. Everything is closed even when it
  /// reports an error. Calling it again does nothing.
  Future<void> close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace cairn
