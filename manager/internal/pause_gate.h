#pragma once
// What a long task that can wait passes between two of its steps. Strand only.

#include <cairn/manager/internal/storage.h>
#include <cairn/manager/internal/writer_turn.h>

#include <cstddef>

namespace cairn::internal {

class PauseGate {
 public:
  /// Nobody passes until as many calls of resume().
  void pause();
  void resume();
  /// For good: whoever comes, or waits, is turned away.
  void close();

  [[nodiscard]] bool paused() const noexcept { return pauses_ > 0; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  /// Waits while it is paused. Throws system_error(operation_aborted) where it is closed.
  Task<void> pass();

 private:
  void wake();
  std::size_t pauses_ = 0;
  bool closed_ = false;
  Event changed_;  ///< set when those who wait are to look again; null where nobody does
};
using PauseGatePtr = std::shared_ptr<PauseGate>;

}  // namespace cairn::internal
