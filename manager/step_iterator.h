#pragma once
// The steps of a root as they are committed, for a program that evaluates or serves what another
// one trains. (Orbax: checkpoint_utils.checkpoints_iterator.)

#include <cairn/export.h>
#include <cairn/manager/future.h>
#include <cairn/manager/held_step.h>
#include <cairn/manager/options.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace cairn {

/// What a StepIterator waits for. Set the members you need.
struct WatchOptions {
  WatchOptions() = default;
  /// Names, atomicity, engine and logger of the manager that saves there.
  CAIRN_EXPORT explicit WatchOptions(const ManagerOptions& manager);

  // ---- which steps ----
  /// Steps above this one; none: those that are there too.
  std::optional<Step> after;
  /// Of several new steps the newest alone, as Orbax does; false: each, as long as it is there.
  bool latest_only = false;
  /// How steps are called there: the options of these names in ManagerOptions.
  std::optional<std::string> step_prefix;
  /// Likewise.
  std::optional<int> step_format_fixed_length;
  /// Likewise; overrides both.
  StepNameFormatPtr step_name_format;
  /// How they become visible there. With `rename` a directory with a step's name is a step.
  Atomicity atomicity = Atomicity::rename;

  // ---- how long ----
  /// Of each wait for a step; none: for ever. 0: what is there now. < 0 is an error.
  std::optional<std::chrono::milliseconds> timeout;
  /// Called at each timeout, on a worker thread: true ends the iteration, because there will be no
  /// more steps; false waits for another `timeout`. None: the timeout ends it.
  std::function<bool()> timeout_fn;
  /// No step is reported sooner than this after the one before. < 0 is an error.
  std::chrono::milliseconds min_interval{0};
  /// How often the root is looked at where inotify cannot tell (network file systems, limits); a
  /// sixtieth as often where it can, for what it does not tell: a directory above that was renamed,
  /// a link that leads elsewhere. <= 0 is an error.
  std::chrono::milliseconds poll_interval{1000};

  /// The engine to use, and its clock; none = one that the process shares.
  std::shared_ptr<engine::Engine> engine;
  /// Warned where the root has to be polled. None = silence.
  std::shared_ptr<Logger> logger;
};

/// Each committed step once, in the order of the numbers, held against deletion until the next is
/// asked for:
///
///     cairn::StepIterator steps("/data/run7", options);
///     while (const std::optional<cairn::Step> step = steps.next().get()) {
///       evaluate(cairn::read_tree(engine, steps.current().path()).get());
///     }
///
/// Nothing is written, and a manager is not needed. The root, and directories above it, may come
/// later, go, and be replaced by others: what counts is what its path leads to, and a step's
/// number. So a step that is overwritten, or one that is saved at or below the last reported one
/// (after a roll-back, or behind a save that went first), is not reported; another iterator begins
/// anew. Steps that are deleted before they are asked for are left out; one whose deletion fails
/// comes after all, if need be behind later ones.
///
/// Members may be called from any thread; one next() at a time.
class CAIRN_EXPORT StepIterator {
 public:
  /// No I/O. Throws Error(invalid_argument): the options.
  explicit StepIterator(std::string directory, WatchOptions options = {});
  /// Lets the step go, and ends a wait that is under way, with ErrorCode::cancelled.
  ~StepIterator();
  StepIterator(StepIterator&&) noexcept;
  StepIterator& operator=(StepIterator&&) noexcept;

  /// Lets the current step go and waits for the next one; none where `timeout` says that there is
  /// none (asked again, it waits again). Once it is reported it has survived a power loss, if its
  /// file system keeps what was synced. Future::cancel() ends the wait; no step is lost then.
  /// Errors: invalid_argument (another next() is under way; a file is in the way),
  /// permission_denied, io_error, what timeout_fn throws. After an error it may be called again: a
  /// step that cannot be read is tried again, and once another can, passed over with a warning. A
  /// timeout is noticed between looks at the directory: one that hangs is not cut short.
  Future<std::optional<Step>> next();
  /// The step that is held; none before the first, while next() waits, and after the last. A copy
  /// holds the step on its own account.
  [[nodiscard]] HeldStep current() const;
  /// Lets the current step go before the next is asked for.
  void release();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace cairn
