#pragma once
// The manager behind its public face. Public members may run on any thread; everything that waits
// for the disk is a coroutine on the engine's strand that holds the core by shared_ptr, so that the
// core outlives whatever is under way.

#include <cairn/manager/checkpoint_manager.h>
#include <cairn/manager/internal/delete_job.h>
#include <cairn/manager/internal/error_board.h>
#include <cairn/manager/internal/save_job.h>
#include <cairn/manager/internal/step_index.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>

namespace cairn {

class CheckpointManager::Impl : public std::enable_shared_from_this<CheckpointManager::Impl> {
 public:
  Impl(std::string directory, ManagerOptions options);
  /// Opens the root and lists it; blocks.
  void open();

  SaveFuture save(Step step, args::SaveArgs args, SaveOptions save_options);
  Future<Restored> restore(std::optional<Step> step, args::RestoreArgs args,
                           RestoreOptions restore_options);
  Future<boost::json::object> metrics(Step step);
  Future<void> delete_step(Step step);
  Future<void> wait_until_finished();
  Future<void> close();
  void reload();
  [[nodiscard]] bool should_save(Step step) const;
  void check_usable() const;
  void log(LogLevel level, std::string event, std::optional<Step> step, std::string message,
           std::uint64_t bytes = 0, std::int64_t duration_ns = 0);

  const std::string directory;
  const ManagerOptions options;
  const std::shared_ptr<engine::Engine> engine;
  internal::StepIndex index;
  [[nodiscard]] bool saving() const noexcept { return saving_ > 0; }
  internal::ErrorBoard board;

 private:
  using JobPtr = std::shared_ptr<internal::SaveJob>;
  /// What a save without force would do; `saved` where it would save.
  [[nodiscard]] SaveOutcome decide(Step step, const SaveOptions& save_options) const;
  void add_items(internal::SaveJob& job, args::SaveArgs args) const;
  void add_item(internal::SaveJob& job, std::string name, args::ItemSave item) const;
  void enqueue(const JobPtr& job);
  internal::Task<void> run_save(JobPtr job);
  using DeletePtr = std::shared_ptr<internal::DeleteJob>;
  internal::Task<void> run_delete(DeletePtr job);
  void settle_delete(const DeletePtr& job, const std::exception_ptr& failure);
  internal::Task<void> delete_losers(JobPtr job, std::optional<std::string> replaced);
  internal::Task<void> remove_step(internal::FolderPtr root, Step step);
  /// Gives a save its outcome: cache, error board, futures. Once; later calls do nothing.
  void settle(const JobPtr& job, std::exception_ptr failure);
  /// Tells the board, the log and the futures.
  void report_failure(internal::SaveState& state, Step step, const std::exception_ptr& failure);
  void settle_failed(const JobPtr& job, const std::exception_ptr& failure);
  /// Lets the saves behind it, and those who wait, go on. Once.
  void release(const JobPtr& job);
  using Reason = engine::Watchdog::Reason;
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
  void end_writing();
  void list_directory(bool create, const std::string& operation);
  internal::Task<Restored> restore_from(std::string root_path, std::optional<Step> step,
                                        args::RestoreArgs args);
  [[nodiscard]] Error forked_error(std::string operation) const;

  std::shared_ptr<internal::WriterContext> writer_;
  std::atomic<std::size_t> saving_{0};  ///< saves without an outcome
  mutable std::mutex mutex_;            ///< guards what follows
  bool closed_ = false;
  std::optional<bool> composite_;  ///< the mode, fixed by the first successful save
  std::deque<JobPtr> queue_;       ///< saves not yet done, in order
  std::mutex log_mutex_;
  std::size_t writers_ = 0;  ///< strand: saves and deletions not yet over
  std::atomic<bool> commit_unknown_ =
      false;                    ///< the last sync of a commit failed: the root is to be synced
  std::vector<Step> deferred_;  ///< strand: deletions to try again after the next save
};

}  // namespace cairn
