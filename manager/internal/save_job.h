#pragma once
// One save from its call to its commit. Runs on the strand; the manager's core starts it and takes
// its result.
//
//   1. plan every item on the CPU pool                            (validation errors end here)
//   2. wait for a place, and until the saves before are staged    (save_queue.h),
//   then for the root's lock where it may take time               (holding no memory yet)
//   3. side by side: capture the items in staging;                -> staged()
//      wait for the writer's turn, take the root's lock, make the directory, write
//   4. make data durable; item metadata; the user's callback; step metadata; seal; where it
//      replaces a step, read back
//   5. rename, sync the root                                      -> committed()

#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/deadline.h>
#include <cairn/manager/handler_registry.h>
#include <cairn/manager/internal/item_saver.h>
#include <cairn/manager/internal/pause_gate.h>
#include <cairn/manager/internal/root_lock.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/internal/step_index.h>
#include <cairn/manager/internal/writer_turn.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn::internal {

/// What a save shares with the manager: strand only, except where said.
struct WriterContext {
  WriterContext(EnginePtr e, std::string r, StepRules s, std::string o,
                std::chrono::milliseconds lock_timeout)
      : engine(std::move(e)),
        root_path(std::move(r)),
        rules(std::move(s)),
        owner(std::move(o)),
        heart(std::make_shared<engine::Heartbeat>(engine->shared_clock())),
        lock(owner, lock_timeout),
        locking(1) {}
  EnginePtr engine;
  std::string root_path;
  StepRules rules;
  std::string owner;
  std::uint32_t directory_mode = kDirectoryMode;
  HeartPtr heart;  ///< of all saves and deletions: none is hung while another moves on
  RootLock lock;
  engine::AsyncSemaphore locking;  ///< one takes the lock and clears leftovers
  WriterTurn turn;
  PauseGatePtr removals = std::make_shared<PauseGate>();
  PauseGatePtr clearing;  ///< strand: of leftovers that are being removed; closed it stops; or null
  std::shared_ptr<Pace> pace = std::make_shared<Pace>();                  ///< strand
  std::shared_ptr<SyncedFiles> synced = std::make_shared<SyncedFiles>();  ///< strand
  std::function<void(LogLevel, std::string event, std::optional<Step>, std::string message)> log;

  /// True while, or because, something is in a hurry.
  [[nodiscard]] bool removals_wait() const noexcept {
    return removals->paused() || removals->closed();
  }
  /// Something is in a hurry: whoever has the turn, or the lock, removes nothing more meanwhile.
  void begin_hurry() {
    turn.relieve();
    if (clearing) clearing->close();
  }
};

class SaveJob {
 public:
  SaveJob(std::shared_ptr<WriterContext> context, Step step, SaveOptions options,
          std::shared_ptr<SaveState> state);

  Step step;
  SaveOptions options;
  std::shared_ptr<SaveState> state;
  std::vector<std::pair<std::string, std::shared_ptr<ItemSaver>>> items;
  std::vector<std::pair<std::string, HandlerPtr>> handlers;  ///< of the items
  bool require_full_staging = false;
  VerifyBeforeDelete verify = VerifyBeforeDelete::none;  ///< before it replaces a step
  bool composite = false;                                ///< several items by name
  GroupScopePtr scope;  ///< of the processes that save it too; none where there are none
  PostFinalizationCallback callback;
  StepRecord record;            ///< what the manager knows of the step by it
  StepIndex::SaveId listed{};   ///< it, in the manager's list
  std::uint64_t roll_back = 0;  ///< how many there had been when it began
  std::vector<Step> losers;     ///< steps to delete once this one has committed
  bool supersedes = false;      ///< later steps are among them
  Step rolled_back_to = -1;     ///< from where the run went on that it began; -1: from the latest
  bool distrusted = false;      ///< it has committed, and does not read back
  /// What it waits for before it captures, and then asks again; null: nothing any more.
  std::function<Event()> before_capture;
  Event opened =
      std::make_shared<impl::SharedState<void>>();  ///< its directory is made, or it ended
  Event staged = std::make_shared<impl::SharedState<void>>();
  Event done = std::make_shared<impl::SharedState<void>>();
  std::atomic<bool> settled{false};    ///< its futures have their result
  std::exception_ptr failure;          ///< why it failed, while it cleans up
  bool released = false;               ///< it no longer counts as pending
  engine::QuarantineEntry quarantine;  ///< held from a missed deadline to the end of the coroutine

  /// Steps 1 to 5. Returns the trash name of a step that was overwritten, if any.
  Task<std::optional<std::string>> run();
  /// After a failure of run(): removes what was written. Throws nothing that matters more than the
  /// failure.
  Task<void> clean_up();
  /// It goes before others in the writer's turn, as soon as it is captured. A turn that it had
  /// before could be one in which it waits for memory of saves that wait for the turn.
  void prefer();
  [[nodiscard]] bool preferred() const noexcept { return preferred_; }
  void end_preference() noexcept { preferred_ = false; }
  /// Gives the turn back.
  void end_turn() noexcept { turn_.reset(); }
  /// What is left to do needs no turn, once somebody is in a hurry.
  void allow_relief() noexcept;
  /// It has read back before its commit.
  [[nodiscard]] bool verified() const noexcept { return verified_; }
  [[nodiscard]] SaveResult result() const;
  [[nodiscard]] const FolderPtr& root() const noexcept { return root_; }
  [[nodiscard]] std::int64_t commit_time_ns() const noexcept { return commit_timestamp_ns_; }

 private:
  Task<void> open_step();
  /// `nursery` outlives the call.
  Task<void> capture_items(engine::Nursery* nursery);
  /// While the disk takes what has been captured: staging memory for as much, so that the next save
  /// need not wait for the kernel to provide it.
  Task<void> provide_staging();
  void plan_items(double disk_rate);
  Task<void> finish_items();
  /// `committed`: with the commit's time, durably.
  Task<void> write_step_metadata(bool committed);
  Task<void> run_callback();
  void check_staging() const;
  void check_cancelled() const;
  Task<void> wait_for_capture();
  /// Throws where it is to replace a step and does not read back: then the old one stays.
  Task<void> verify_replacement();

  // Several processes (save_job_processes.cpp).
  /// Another process makes the directory and commits.
  [[nodiscard]] bool joins() const { return scope && !scope->group().is_primary(); }
  /// Whether this process writes some of the item.
  [[nodiscard]] bool takes_part(const ItemSaver& item) const {
    return !joins() || item.is_shared();
  }
  /// Tells the others where the directory is.
  Task<void> show_step();
  /// Waits for the primary's directory.
  Task<void> join_step();
  /// Waits until the save is captured everywhere.
  Task<void> captured_everywhere();
  /// Past it the save commits, unless the primary fails.
  Task<void> ready_everywhere();
  /// Writes the metadata and renames. What an overwritten step is called now.
  Task<std::optional<std::string>> commit();
  /// The primary: tells the others whether it has committed. Without a primary each tells that it
  /// has, and throws commit_unknown where another does not.
  Task<void> tell_outcome(std::exception_ptr failed);
  /// What the primary tells, in the others; throws what it has failed with.
  void read_outcome(std::string_view told);
  /// The others: waits until all are ready, and for that.
  Task<void> hear_commit();
  /// Whether the step may be there although its commit was not heard of, for that reason.
  Task<bool> may_have_committed(ErrorCode unheard, bool all_ready);
  /// After a failure: waits a little until nobody writes into the directory any more.
  Task<void> stopped_everywhere();

  std::shared_ptr<WriterContext> context_;
  WriterTurn::PlacePtr turn_;
  bool preferred_ = false;
  bool captured_ = false;
  FolderPtr root_;
  std::shared_ptr<StepDirectory> directory_;
  std::int64_t init_timestamp_ns_ = 0;
  std::int64_t commit_timestamp_ns_ = 0;
  std::int64_t staged_ns_ = 0;
  std::int64_t committed_ns_ = 0;
  std::uint64_t staging_bytes_ = 0;  ///< that its items take; may exceed what there is
  bool streamed_ = false;
  bool verified_ = false;
};

/// This process writes nothing of a save that has failed; does not wait for the others.
void tell_stopped(const GroupScope& scope, engine::Engine& engine);
/// This process skips a save: where others make it, theirs fail, at once. Costs a message or two.
void tell_skipped(const GroupScope& scope, Step step, SaveOutcome outcome);
/// The engine's steady clock in nanoseconds.
[[nodiscard]] std::int64_t steady_ns(engine::Engine& engine);
/// Waits for the turn of a place in the line.
Task<void> wait_for_turn(std::shared_ptr<WriterContext> context, WriterTurn::Place* place);
/// Takes the root's lock and clears leftovers, unless it is held; opens the root. The lock stays
/// until no save or deletion is left. While something is in a hurry leftovers stay: they are
/// cleared when the lock is taken again.
Task<FolderPtr> begin_writing(std::shared_ptr<WriterContext> context);

/// Throws the one failure as it is, or the first with the number of all.
[[noreturn]] void raise_of_items(const std::exception_ptr& first, std::size_t failed,
                                 std::size_t total);

}  // namespace cairn::internal
