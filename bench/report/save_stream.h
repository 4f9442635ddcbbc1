#pragma once
// Saves of one state, one after another without a pause, for what is measured beside them.

#include <cairn/manager/checkpoint_manager.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "report/context.h"
#include "report/workloads.h"

namespace cairn::bench {

/// How they are saved.
struct SaveKind {
  std::string suffix;  ///< of its rows' names; empty for the default
  std::string what;    ///< for people
  std::shared_ptr<engine::Engine> engine;
  Codec codec = Codec::raw();
  Capture capture = Capture::copy;
};

/// Where they go. Nothing is deleted while something is measured; when much has been written, it is
/// removed before the next stream begins, and the disk is given time to be done with it.
class SaveRoom {
 public:
  SaveRoom(const Settings& settings, std::string section);
  /// A root that is not there yet.
  [[nodiscard]] std::filesystem::path new_root();
  /// What one stream may write.
  [[nodiscard]] std::uint64_t stream_bytes_max() const noexcept { return stream_bytes_max_; }
  void note_written(std::uint64_t bytes) noexcept { written_ += bytes; }

 private:
  const Settings& settings_;
  std::string section_;
  std::uint64_t stream_bytes_max_;
  std::uint64_t written_ = 0;
  int roots_ = 0;
  std::optional<WorkDirectory> work_;
};

/// What came of a stream; the saves follow each other at once.
struct SavesDone {
  std::uint64_t bytes = 0;  ///< of the state, each time
  double seconds = 0;
  SavesDone& operator+=(const SavesDone& other) noexcept {
    bytes += other.bytes;
    seconds += other.seconds;
    return *this;
  }
  [[nodiscard]] double gb_per_s() const { return static_cast<double>(bytes) / 1e9 / seconds; }
};

/// A new root with a manager of its own. What it is made of lives longer.
class SaveStream {
 public:
  SaveStream(const SaveKind& kind, const Workload& state, SaveRoom& room);
  /// Saves until `enough`, asked after each, or until the stream has written what it may. Throws
  /// what a save threw.
  SavesDone run(const std::function<bool()>& enough);

 private:
  const SaveKind& kind_;
  const Workload& state_;
  SaveRoom& room_;
  CheckpointManager manager_;
  Step next_ = 0;
};

}  // namespace cairn::bench
