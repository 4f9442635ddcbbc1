#pragma once

#include <cairn/engine/engine.h>
#include <cairn/export.h>
#include <cairn/manager/args.h>
#include <cairn/manager/logger.h>
#include <cairn/manager/save_future.h>

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace cairn {

/// What an automatic codec may know when it decides about a chunk. Rates are in bytes/s as seen
/// lately, by this save or the ones before it; 0: not known yet.
struct EncodeLoad {
  EncodeLoad() = default;
  std::uint64_t chunk_bytes = 0;      ///< elements of the chunk in question
  std::uint64_t queued_bytes = 0;     ///< that wait for the disk or are being written
  std::uint64_t encoding_bytes = 0;   ///< elements of chunks that are being encoded
  std::uint64_t capturing_bytes = 0;  ///< elements that are being copied
  std::size_t workers = 1;            ///< threads that copy and encode
  double disk_rate = 0;
  double encode_rate = 0;  ///< of one worker, in elements
};
enum class EncodeDecision : std::uint8_t {
  encode,
  store,  ///< as it is, 16 bytes more than raw
  wait    ///< ask again when the load has changed
};
/// Called on the engine's strand for each chunk of an array that pays to encode, in order, until it
/// answers something else than wait; wait with nothing under way means encode.
using EncodePolicy = std::function<EncodeDecision(const EncodeLoad&)>;
/// The default: encode what will be encoded before the disk has written what it has; store the
/// rest, so that the disk never waits for the cores.
[[nodiscard]] CAIRN_EXPORT EncodeDecision encode_by_load(const EncodeLoad& load);

/// How a CheckpointManager behaves; the names are Orbax's.
struct ManagerOptions {
  /// should_save(step) is true where step % save_interval_steps == 0; < 1 is an error.
  std::int64_t save_interval_steps = 1;
  /// The newest steps that are kept; none = all, 0 = nothing; < 0 is an error.
  std::optional<std::int64_t> max_to_keep;
  /// Make the root directory, and its parents, where it is missing.
  bool create = true;
  /// The item that a single tree is saved as.
  std::string item_name = "default";
  /// Codec of every item that names none.
  Codec codec = Codec::raw();
  /// Layout of every item that names none.
  Layout layout = Layout::ocdbt_zarr3;
  /// What Codec::automatic() asks before it encodes a chunk; none: encode_by_load().
  EncodePolicy encode_policy;
  /// Chunks that have not changed since the step before are not written: the new step's database
  /// refers to data files that are hard-linked from it. For the OCDBT layouts; the others are
  /// written whole. Arrays are cut into finer chunks. Copies by rsync or cp expand the links.
  bool incremental = false;
  /// A data file is linked into at most so many steps before its chunks are written afresh, so that
  /// one bad sector cannot spoil every step; < 0 is an error.
  std::int64_t max_link_age = 16;
  /// Saves that may wait behind the running one with their arrays captured; the next save's
  /// staged() waits for a place.
  std::size_t max_pending = 1;
  /// How long to wait for another process that writes in the same root; 0 = not at all.
  std::chrono::milliseconds lock_timeout{0};
  /// A save that takes longer, from its call to its commit, fails with timed_out, and so does a
  /// deletion; <= 0 is an error. What follows a commit (deleting old steps) may take as long again;
  /// then it goes on behind the back of wait_until_finished() and close().
  std::chrono::milliseconds async_timeout{1'200'000};
  /// Likewise when nothing moves for this long: no operation of the manager's saves and deletions
  /// ends and no byte of theirs is captured. 0 = no such limit; < 0 is an error.
  std::chrono::milliseconds no_progress_timeout{300'000};
  /// Fail a save that does not fit into the staging arena instead of streaming it at the disk's
  /// speed.
  bool require_full_staging = false;
  /// The engine to use; none = one that the process shares.
  std::shared_ptr<engine::Engine> engine;
  /// None = silence.
  std::shared_ptr<Logger> logger;
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
  Capture capture = Capture::copy;
};

struct RestoreOptions {
  RestoreOptions() = default;
  std::optional<std::string> directory;  ///< another root to restore from
};

}  // namespace cairn
