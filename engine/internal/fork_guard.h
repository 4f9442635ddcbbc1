#pragma once
// Tells a forked child that what it holds belongs to its parent: threads do not survive a fork().

#include <cstdint>

namespace cairn::engine::internal {

/// Remembers in which process it was made. Cheap to ask: one relaxed load, no system call.
class ForkGuard {
 public:
  ForkGuard();
  /// True in a process forked after this guard was made.
  [[nodiscard]] bool in_child() const noexcept;

 private:
  std::uint32_t generation_;
};

}  // namespace cairn::engine::internal
