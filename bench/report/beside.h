#pragma once
// A loop whose turns are timed, and what runs beside it.

#include <atomic>
#include <functional>
#include <latch>

namespace cairn::bench {

/// Runs while the loop does. `enough` opens when the loop has had the turns that it was asked for;
/// the loop goes on until this returns, so that every turn has it beside itself.
using Beside = std::function<void(const std::latch& enough)>;

/// Nothing runs beside it.
inline void nothing_beside(const std::latch& enough) {
  enough.wait();
}

/// Tells a loop to stop when its scope ends, also by an exception; declared after the loop's
/// thread, which is joined then.
class StopAtEnd {
 public:
  explicit StopAtEnd(std::atomic<bool>& stop) : stop_(stop) {}
  ~StopAtEnd() { stop_ = true; }
  StopAtEnd(const StopAtEnd&) = delete;
  StopAtEnd& operator=(const StopAtEnd&) = delete;

 private:
  std::atomic<bool>& stop_;
};

}  // namespace cairn::bench
