#pragma once
// What a Recording holds. Here, and not in recording_backend.cpp, for tests that look at the states
// of crash() in memory: most of what power losses leave differs only where no reader looks.

#include <cairn/engine/internal/crash_model.h>
#include <cairn/engine/internal/tree_image.h>
#include <cairn/engine/recording_backend.h>

#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace cairn::engine {

struct Recording::Impl {
  mutable std::mutex mutex;
  std::string root;             // canonical
  internal::TreeImage durable;  // at the start; later inodes join it empty
  internal::TreeImage live;     // entries as the running program sees them; no content
  // Of what is open below the root; none = an inode that is not in `live`, a symlink's target or
  // something that was made behind the backend's back.
  std::unordered_map<int, std::optional<internal::InodeId>> descriptors;
  std::vector<internal::LogEntry> log;
  std::vector<Mark> marks;
  std::vector<std::string> lost;  // mutations below the root that the model could not follow

  /// Throws std::logic_error when something was lost: no state of this recording proves anything.
  void check_complete() const;

  internal::InodeId add_inode(bool directory, std::uint32_t mode) {
    durable.add(directory, mode);
    return live.add(directory, mode);
  }
};

}  // namespace cairn::engine
