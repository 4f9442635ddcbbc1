#pragma once
// The loss log: a text file with one line per step, which a resumed run continues so that it ends
// up byte for byte what an uninterrupted run writes.

#include <cstdint>
#include <filesystem>

namespace trainer {

/// A first line that names the columns, then "<step> <loss> <average>" with as many digits as are
/// needed to read the same numbers back (%.9g for the float loss, %.17g for the double average).
class LossLog {
 public:
  /// Opens `path`, makes it when absent, and cuts off every line after that of `step` (lines of
  /// steps that were trained but not saved before the run died, the last one perhaps half written).
  /// Throws std::runtime_error, naming the path, when it cannot be opened, or lacks lines up to
  /// `step`.
  LossLog(std::filesystem::path path, std::int64_t step);
  ~LossLog();
  LossLog(const LossLog&) = delete;
  LossLog& operator=(const LossLog&) = delete;

  /// Appends a line and hands it to the kernel at once: a killed run leaves every line it wrote.
  void append(std::int64_t step, double loss, double average);

 private:
  std::filesystem::path path_;
  int descriptor_;
};

}  // namespace trainer
