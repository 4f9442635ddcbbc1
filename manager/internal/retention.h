#pragma once
// Which steps a save pushes out.

#include <cairn/manager/internal/step_index.h>
#include <cairn/manager/options.h>

#include <optional>
#include <vector>

namespace cairn::internal {

class Retention {
 public:
  /// Throws Error(invalid_argument).
  explicit Retention(const ManagerOptions& options);
  /// Whether anything is ever deleted.
  [[nodiscard]] bool deletes() const noexcept { return static_cast<bool>(policy_); }
  /// Whether it asks for more than steps' numbers.
  [[nodiscard]] bool reads_metadata() const noexcept { return reads_metadata_; }

  struct Verdict {
    Verdict() = default;
    std::vector<Step> losers;
    std::optional<Error> error;  ///< the user's function failed: nobody loses
  };
  /// Of `records`, ascending, the one being saved included.
  [[nodiscard]] Verdict judge(const std::vector<StepRecord>& records) const;

 private:
  PreservationPolicy policy_;  ///< empty: keeps all
  PreservationRules rules_;
  bool reads_metadata_ = false;
};

}  // namespace cairn::internal
