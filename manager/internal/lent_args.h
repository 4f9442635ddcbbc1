#pragma once
// Arguments of a restore that may be tried several times, though it moves its targets away.

#include <cairn/manager/args.h>

#include <optional>
#include <vector>

namespace cairn::internal {

/// Lends the arrays of targets to one attempt after the other as the caller's memory, so that none
/// is copied, and puts them into the result of the last.
class LentArgs {
 public:
  explicit LentArgs(args::RestoreArgs args) : args_(std::move(args)) {}
  LentArgs(const LentArgs&) = delete;
  LentArgs& operator=(const LentArgs&) = delete;

  [[nodiscard]] const args::RestoreArgs& args() const noexcept { return args_; }
  /// For one attempt; refers to this.
  [[nodiscard]] args::RestoreArgs lend();
  /// Of the attempt that succeeded.
  void give_back(Restored& restored);

 private:
  args::RestoreArgs args_;
};

}  // namespace cairn::internal
