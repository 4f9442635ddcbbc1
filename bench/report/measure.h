#pragma once
// How a figure is measured on a machine whose speed drifts: what is compared runs in turns, and the
// ratio within a turn counts.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cairn::bench {

struct Spread {
  double min = 0;
  double median = 0;
  double max = 0;
};
/// Of at least one number.
[[nodiscard]] Spread spread_of(std::vector<double> values);
/// The smallest that at least `share` (0 to 1) of the values do not exceed.
[[nodiscard]] double percentile(std::vector<double> values, double share);

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// One of the things that are compared: runs once and gives its figure.
using Side = std::function<double(int round)>;
/// What each side gave in each round: [side][round]. The sides run in this order and, in the next
/// round, in the reverse one (A-B B-A): a drift meets all alike.
[[nodiscard]] std::vector<std::vector<double>> take_turns(int rounds,
                                                          const std::vector<Side>& sides);
/// Of the ratios within each round; both are of the same rounds.
[[nodiscard]] Spread ratio_of(const std::vector<double>& ours,
                              const std::vector<double>& reference);

/// User and system time of this process so far, in seconds.
[[nodiscard]] double cpu_seconds();
/// The most resident memory that this process has had since forget_peak_memory(), in bytes.
[[nodiscard]] std::uint64_t peak_resident_bytes();
/// The peak is what is resident now. Throws std::runtime_error where the kernel does not allow it.
void forget_peak_memory();
/// The resident memory of this process, in bytes.
[[nodiscard]] std::uint64_t resident_bytes();

}  // namespace cairn::bench
