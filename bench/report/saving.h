#pragma once
// Saves of one state, one after another, each under a step of its own.

#include <cairn/manager/checkpoint_manager.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "report/workloads.h"

namespace cairn::bench {

/// What a save took, from the call of save().
struct Saved {
  double returned_s = 0;  ///< until save() returned
  double staged_s = 0;
  double durable_s = 0;
};

class Saver {
 public:
  enum class Kind : unsigned char { whole, incremental };
  /// The workload lives longer, and keeps its shapes.
  Saver(const std::filesystem::path& root, std::shared_ptr<engine::Engine> engine, Codec codec,
        const Workload& workload, Kind kind = Kind::whole);
  /// Waits until it is durable. Throws what the save threw.
  Saved save();
  /// Saves before those that count. The first takes staging memory from the system while the disk
  /// writes, and may be over before it has all that its state fills; the second takes the rest.
  /// Users meet this once.
  void warm_up();

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  /// Of the last save: bytes written to files of the bytes of its arrays.
  [[nodiscard]] double stored_share() const noexcept { return stored_share_; }
  /// One number for each save after the warm-up, of the whole process.
  [[nodiscard]] const std::vector<double>& cpu_seconds_per_gb() const noexcept { return cpu_; }
  [[nodiscard]] CheckpointManager& manager() noexcept { return manager_; }

 private:
  const Workload& workload_;
  std::uint64_t bytes_;
  CheckpointManager manager_;
  Step next_ = 0;
  double stored_share_ = 0;
  std::vector<double> cpu_;
};

}  // namespace cairn::bench
