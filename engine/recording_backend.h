#pragma once
// A record of what a program did to a directory tree, and the states that a loss of power could
// have left behind: the oracle of crash tests.
//
//   auto recording = std::make_shared<Recording>(root);
//   options.io_backend = make_recording_backend(make_backend({}), recording);
//   ... saves; recording->mark("step 3 committed") when they are acknowledged ...
//   for every prefix and some seeds:
//     recording->replay(prefix, seed, scratch);   // scratch: a new directory
//     ... open scratch; what was marked before the prefix must be there ...
//
// The model. A file has durable content, as of its last sync_data or sync_all, and writes since:
// each of these survived, or not, or in part (blocks of kCrashBlockBytes; a lost block holds what
// was there before, zeros, or garbage where nothing was). Changes of length likewise. A directory
// has durable entries, as of its last sync_all, and changes of entries since, of which any subset
// survived that leaves out nothing another survivor builds on (an earlier change of the same name).
// A rename, replace or exchange within one directory survives as a unit; a rename between
// directories survives as a link in the new place and then a removal in the old one. Syncing a file
// makes none of its names durable, and making a directory is durable when its parent was synced.
// This allows more than any one file system does, and nothing that POSIX forbids.

#include <cairn/engine/io_backend.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cairn::engine {

/// The unit in which a file's content survives, bytes.
inline constexpr std::uint64_t kCrashBlockBytes = 4096;

/// What happened below one directory. Thread-safe. Knows what went through its backend only: a test
/// must not change the tree behind its back. What it then cannot follow, as what goes through
/// symlinks or "..", is noted, and replay() refuses.
class CAIRN_EXPORT Recording {
 public:
  struct Mark {
    std::size_t position = 0;  ///< mutations recorded before it
    /// What the test called it.
    std::string label;
  };
  /// Of the mutation with this index: true = pretend that this sync was never made.
  using IgnoreSync = std::function<bool(std::size_t index)>;

  /// Takes what is below `root` now as durable; it is read into memory. Throws std::system_error.
  explicit Recording(const std::string& root);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  /// Operations that succeeded and changed, or synced, something below the root; in order of
  /// completion.
  [[nodiscard]] std::size_t mutations() const;
  /// What the mutation with this index was.
  [[nodiscard]] IoOp operation(std::size_t index) const;
  /// "17 rename a/b -> a/c".
  [[nodiscard]] std::string describe(std::size_t index) const;
  /// Indices of the syncs among the mutations.
  [[nodiscard]] std::vector<std::size_t> syncs() const;

  /// Notes that something was true at this point.
  void mark(std::string label);
  [[nodiscard]] std::vector<Mark> marks() const;

  /// Builds in `target` (made if missing, must be empty) a state that may be found after power was
  /// lost when the first `prefix_length` mutations had happened. `seed` decides which; among every
  /// eight or so is one where all of it survived, and one where only what was durable did. Throws
  /// std::system_error, std::invalid_argument, and std::logic_error when the recording missed
  /// something.
  void replay(std::size_t prefix_length, std::uint64_t seed, const std::string& target,
              const IgnoreSync& ignore = {}) const;

  struct Impl;
  /// For the backend's own sources.
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// A backend around `inner` that writes into `recording`.
[[nodiscard]] CAIRN_EXPORT std::unique_ptr<IoBackend> make_recording_backend(
    std::unique_ptr<IoBackend> inner, std::shared_ptr<Recording> recording);

}  // namespace cairn::engine
