#pragma once
// Which of an engine's threads the CPU time goes to: two of them are alone, and so bound what any
// number of cores can do.

#include <cairn/engine/engine.h>

#include <memory>
#include <string>

namespace cairn::bench {

/// CPU seconds, of this process so far or of what ran between two such readings.
struct ThreadTimes {
  double ring =
      0;  ///< of the thread that drives io_uring; of all that transfer where there is none
  double strand = 0;  ///< of the thread that the coroutines run on
  double others = 0;  ///< CPU pool, callers, the kernel's own helpers

  [[nodiscard]] double total() const { return ring + strand + others; }
  ThreadTimes& operator+=(const ThreadTimes& more);
  friend ThreadTimes operator-(const ThreadTimes& a, const ThreadTimes& b);
};

/// Reads them while its engine is the only one, from one reading to the next.
class ThreadClock {
 public:
  explicit ThreadClock(std::shared_ptr<engine::Engine> engine);
  [[nodiscard]] ThreadTimes now() const;

 private:
  std::shared_ptr<engine::Engine> engine_;
  std::string strand_;  ///< its thread's number
};

}  // namespace cairn::bench
