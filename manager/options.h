#pragma once

#include <cairn/engine/engine.h>
#include <cairn/export.h>
#include <cairn/manager/args.h>
#include <cairn/manager/coordination.h>
#include <cairn/manager/handler_registry.h>
#include <cairn/manager/logger.h>
#include <cairn/manager/preservation_policy.h>
#include <cairn/manager/save_future.h>
#include <cairn/manager/save_policy.h>
#include <cairn/manager/step_name.h>

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace cairn {

/// What an automatic codec may know when it decides about a chunk. Rates are in bytes/s as seen
/// lately, by this save or the ones before it; 0: not known yet.
struct EncodeLoad {
  EncodeLoad() = default;
  std::uint64_t chunk_bytes = 0;      ///< elements of the chunk, or chunks, in question
  std::uint64_t queued_bytes = 0;     ///< that wait for the disk or are being written
  std::uint64_t encoding_bytes = 0;   ///< elements of chunks that are being encoded
  std::uint64_t capturing_bytes = 0;  ///< elements with staging memory, not yet copied
  std::size_t workers = 1;            ///< threads that copy and encode
  double disk_rate = 0;               ///< at which the disk writes
  double encode_rate = 0;             ///< of one worker, in elements
};
/// What becomes of a chunk.
enum class EncodeDecision : std::uint8_t {
  encode,  ///< by its codec
  store,   ///< as it is, 16 bytes more than raw
  wait     ///< ask again when the load has changed
};
/// Called on the engine's strand for each chunk of an array that pays to encode, and for chunks
/// below 256 KiB (of incremental saves) some MiB at a time; in order, until it answers something
/// else than wait; wait with nothing under way means encode.
using EncodePolicy = std::function<EncodeDecision(const EncodeLoad&)>;
/// The default: encode what will be encoded before the disk has written what it has; store the
/// rest, so that the disk never waits for the cores.
[[nodiscard]] CAIRN_EXPORT EncodeDecision encode_by_load(const EncodeLoad& load);

/// How a step becomes visible at its commit.
enum class Atomicity : std::uint8_t {
  rename,  ///< it is written under a temporary name and renamed
  /// It has its name from the start and counts once commit_success.txt is in it; for file systems
  /// whose rename is not atomic. Steps cannot be overwritten (not_supported), and so not
  /// superseded: with OlderStep::supersede the manager's construction fails. A save fails with
  /// already_exists where a directory of its step's name has no marker, and nothing in it tells
  /// that it is of a save: steps of an Orbax before 0.12.3 look so.
  commit_file
};
/// What save() does without force, and save_before_exit(), in a roll-back at a step above the
/// restored one that is not above the latest. Elsewhere a save that is not above the latest is
/// skipped, unless it is the last one.
///
/// A roll-back begins when restore() or restore_latest_valid() of this manager has given a step of
/// its root below the latest committed one, whatever was asked of it: one leaf, an item, or
/// args::LazyRestore. It is over when the latest step is restored; when a save commits above what
/// was the latest, or in place of later steps; and when no later step is left. To look at an older
/// step without one: read_tree(), open_tree(), or another manager with read_only.
enum class OlderStep : std::uint8_t {
  error,  ///< the save fails with invalid_argument
  skip,   ///< the save is skipped, as in Orbax
  /// It is saved, in place of the step of its number if there is one, and the later steps are
  /// deleted once it has committed, the latest first. Those that a crash comes before, and those
  /// that a reader holds through close(), are steps again for the next manager, above the new one.
  /// Not with Atomicity::commit_file (an error).
  supersede
};
/// What must read back from the newest step before an older one is deleted. Where it does not, the
/// older steps stay, and wait_until_finished() reports data_loss. A save that overwrites a step is
/// read back before its commit, and fails with data_loss: the step keeps its old content.
enum class VerifyBeforeDelete : std::uint8_t {
  none,      ///< nothing is read
  manifest,  ///< the step's metadata, and each tree's index and database
  full       ///< every byte, against its checksum
};
/// Called on a worker thread when the step's items are durable and nobody can see the step yet;
/// what it throws fails the save.
using PostFinalizationCallback = std::function<void(Step)>;

/// How a CheckpointManager behaves; the names are Orbax's. Designated initializers have to come in
/// the order of the members. Functions given here may call the manager's getters, and none of its
/// other members: save(), delete_step() and close() fail there with invalid_argument. One that
/// decides about a save is asked again where another save or deletion begins meanwhile.
struct ManagerOptions {
  // ---- which steps are saved ----
  /// should_save(step) is true where step % save_interval_steps == 0, and for the first step of an
  /// empty root, as in Orbax; < 1 is an error.
  std::int64_t save_interval_steps = 1;
  /// Steps that are saved besides those of the interval.
  std::set<Step> save_on_steps{};
  /// Decides instead of the interval, save_on_steps and the rule that an empty root takes any step;
  /// a preemption notice still saves. Called by should_save() and save(), on their threads.
  ShouldSaveFn should_save_fn{};
  /// Decides alone: exclusive with the three above (an error). See
  /// manager/save_policy.h.
  SaveDecisionPolicy save_decision_policy{};
  /// What save() does in a roll-back (see OlderStep) at a step that is not above the latest one: by
  /// default it fails with invalid_argument, which names this option.
  OlderStep on_older_step = OlderStep::error;

  // ---- which steps stay ----
  /// How many steps are kept, the newest or, with best_fn, the best; none = all, 0 = nothing unless
  /// another rule keeps it; < 0 is an error. What the next two keep counts in it too, where it is
  /// one of those.
  std::optional<std::int64_t> max_to_keep{};
  /// Steps at least so far apart, by their commit times, are kept whatever max_to_keep says; the
  /// first is the oldest there is. <= 0 is an error.
  std::optional<std::chrono::milliseconds> keep_time_interval{};
  /// Steps with step % keep_period == 0 are kept whatever max_to_keep says; < 1 is an error.
  std::optional<std::int64_t> keep_period{};
  /// A step's worth, from its metrics; NaN counts as no metrics. Called on threads of savers and on
  /// the engine's strand.
  MetricFn best_fn{};
  /// Whether the largest number of best_fn is the best, or the smallest.
  BestMode best_mode = BestMode::max;
  /// With best_fn: true keeps steps without metrics; false deletes them first, once there are more
  /// steps than max_to_keep.
  bool keep_checkpoints_without_metrics = true;
  /// With best_fn: false makes a save without metrics an error.
  bool allow_missing_metrics = false;
  /// With best_fn: the newest step is kept besides the best.
  bool keep_latest = false;
  /// Decides alone what is kept: exclusive with the options above but best_fn, which then only
  /// ranks steps for best_step(). See manager/preservation_policy.h.
  PreservationPolicy preservation_policy{};
  /// What must read back from the step that has just committed before others are deleted for it;
  /// `full` reads the whole step.
  VerifyBeforeDelete verify_before_delete = VerifyBeforeDelete::manifest;
  /// Deleted steps are renamed into this directory of the root instead of removed; empty: removed.
  std::string todelete_subdir{};
  /// Deleting old steps after a commit goes on behind wait_until_finished(), which does not wait
  /// for it; close() does. Its errors are those of check_for_errors() and close().
  bool enable_background_delete = false;
  /// Entries of one step that are unlinked at once; 0 = a number that suits the engine.
  std::size_t num_deletion_threads = 0;

  // ---- the root ----
  /// Make the root directory, and its parents, where it is missing (and read_only is off).
  bool create = true;
  /// Nothing is written, whatever is called: saves are skipped, deletions refused.
  bool read_only = false;
  /// Names of steps are step_prefix + "_" + the number, zero padded to step_format_fixed_length.
  std::optional<std::string> step_prefix{};
  /// Digits of a step's name at least, filled up with zeros; none: no zeros.
  std::optional<int> step_format_fixed_length{};
  /// Overrides both. See manager/step_name.h.
  StepNameFormatPtr step_name_format{};
  /// The constructor removes temporary directories that Cairn or Orbax left, and with
  /// Atomicity::commit_file what else is known to be of a save that never committed, unless another
  /// process is writing here; never other directories.
  bool cleanup_tmp_directories = false;
  /// The constructor reads the steps' names alone: their metrics and commit times are there after
  /// reload(). Until then steps are kept by every rule that asks for them.
  bool lightweight_initialize = false;
  /// Permission bits of directories that are made, less the umask; none: 0777.
  std::optional<std::uint32_t> path_permission_mode{};
  /// How steps become visible. All managers of a root are to have the same.
  Atomicity atomicity = Atomicity::rename;
  /// User metadata of the root, written by the constructor unless there is some already; metadata()
  /// gives what is there.
  boost::json::object metadata{};
  /// False: `metadata` is neither written nor given by metadata().
  bool save_root_metadata = true;

  // ---- how a save runs ----
  /// Handlers of your own, and which items are to have no others. See manager/handler.h.
  HandlerRegistry handlers{};
  /// False: save() returns when the save is over.
  bool enable_async_checkpointing = true;
  /// False: save() returns when the step's temporary directory has been made.
  bool create_directories_asynchronously = true;
  /// Called with the step before each commit; see PostFinalizationCallback.
  PostFinalizationCallback post_finalization_callback{};
  /// A save fails with the error of an earlier one that nobody has seen, instead of reporting it as
  /// SaveResult::warning.
  bool strict_errors = false;
  /// The item that a single tree is saved as.
  std::string item_name = "default";
  /// Codec of every item that names none.
  Codec codec = Codec::raw();
  /// Layout of every item that names none.
  Layout layout = Layout::ocdbt_zarr3;
  /// What Codec::automatic() asks before it encodes a chunk; none: encode_by_load().
  EncodePolicy encode_policy{};
  /// Chunks that have not changed since the step before are not written: the new step's database
  /// refers to data files that are hard-linked from it. For the OCDBT layouts; the others are
  /// written whole. Arrays are cut into finer chunks. Copies by rsync or cp expand the links.
  bool incremental = false;
  /// A data file is linked into at most so many steps before its chunks are written afresh, so that
  /// one bad sector cannot spoil every step; < 0 is an error.
  std::int64_t max_link_age = 16;
  /// Where a data file of an incremental save ends; a larger chunk has one of its own. It is what
  /// is linked or rewritten as one: smaller files hold less that no step needs, and are more to
  /// link, sync and open; 0 is an error.
  std::uint64_t linkable_file_bytes = 256u << 20;
  /// Saves that may wait behind the running one with their arrays captured; the next save's
  /// staged() waits for a place.
  std::size_t max_pending = 1;
  /// How long to wait for another process, or another manager of this one, that writes in the same
  /// root, before a save fails with busy; 0 = not at all: then a save's arrays are captured while
  /// the root's lock is taken. Otherwise the lock comes first, and staged() waits for that writer
  /// too; a save that does not get it fails with nothing captured.
  std::chrono::milliseconds lock_timeout{0};
  /// A save that takes longer, from its call to its commit, fails with timed_out, and so does a
  /// deletion; <= 0 is an error. What follows a commit (deleting old steps) may take as long again;
  /// then it goes on behind the back of wait_until_finished() and close().
  std::chrono::milliseconds async_timeout{1'200'000};
  /// Likewise when nothing moves for this long: no operation of the manager's saves and deletions
  /// ends and no byte of theirs is captured. 0 = no such limit, as with several processes, which
  /// wait for each other; < 0 is an error.
  std::chrono::milliseconds no_progress_timeout{300'000};
  /// Fail a save that does not fit into the staging arena instead of streaming it at the disk's
  /// speed.
  bool require_full_staging = false;

  // ---- several processes ----
  /// Where it has several processes, each makes a manager with the same options and calls save(),
  /// restore(), restore_latest_valid(), delete_step() and reload() together with the others, in the
  /// same order. Policies and functions given here have to decide alike: one that goes by time, or
  /// by what is under way, may not, so ask it in one process and save with force.
  /// Of trees each process gives what it has (Leaf with parts); what several have is written once.
  /// Other items are those of the primary. A process that fails makes the others fail with an error
  /// that names it, within async_timeout by the coordinator's clock, and nothing is committed; one
  /// that dies is noticed at once. Not supported with more than one: incremental saves, and trees
  /// in layouts without a database. None = single_process().
  std::shared_ptr<Coordinator> coordinator{};
  /// Makes directories, writes metadata, commits and deletes. None = each process does, in a
  /// directory of its own (storage local to its node), which all of its trees go to: a step that
  /// fails in one fails in all (commit_unknown where the others have renamed theirs), and one that
  /// not all have is not restored: delete it, or save with overwrite.
  std::optional<ProcessIndex> primary_host = 0;
  /// Those that take part, this one and the primary among them; empty = all.
  std::set<ProcessIndex> active_processes{};
  /// Before the names of all operations, with a dot, so that logs tell managers apart: at most 128
  /// bytes. Managers with one prefix are numbered in the order of their making, the same in each
  /// process.
  std::string barrier_sync_key_prefix{};
  /// The primary lists the steps and tells the others, so that a directory of many steps is read
  /// once.
  bool single_host_load_and_broadcast = false;

  /// The engine to use; none = one that the process shares.
  std::shared_ptr<engine::Engine> engine{};
  /// None = silence.
  std::shared_ptr<Logger> logger{};
};

/// When a save's arrays are taken over.
enum class Capture : std::uint8_t {
  copy,   ///< copied; staged() comes when the copies are done
  borrow  ///< the caller promises not to write to them until staged(), which comes with the last
          ///< write; what is not raw, dense and aligned is copied all the same
};

/// Set the members you need. (Not an aggregate: g++ 12 destroys an aggregate temporary inside a
/// co_await expression twice.)
struct SaveOptions {
  SaveOptions() = default;
  boost::json::object metrics;  ///< stored with the step when not empty
  bool force = false;           ///< save whatever should_save says; never replaces a step
  bool overwrite =
      false;  ///< replace an existing step; it stays readable until the new one commits
  boost::json::object custom_metadata;  ///< stored in the step's metadata
  /// How the arrays are taken over: by default they are copied, and the caller may change them from
  /// staged() on.
  Capture capture = Capture::copy;
};

/// Of the last save before the process ends.
struct ExitSaveOptions {
  ExitSaveOptions() = default;
  SaveOptions save;  ///< `force` is taken to be on
  /// What is not over by then, from the call, is given up; <= 0 is an error. The default leaves a
  /// little of the half minute that most clusters give.
  std::chrono::milliseconds deadline{25'000};
};

/// Set the members you need.
struct RestoreOptions {
  RestoreOptions() = default;
  std::optional<std::string> directory;  ///< another root to restore from; its steps' names are
                                         ///< read as this one's
};

}  // namespace cairn
