#pragma once
// What a person sees: one updating line on a terminal, plain lines elsewhere, a table at the end.

#include <cairn/manager/save_future.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainer {

/// What one save cost.
struct SaveCost {
  cairn::Step step = 0;
  double call_ms = 0;       ///< save() itself
  double stall_ms = 0;      ///< call_ms and what the optimizer then waited for staged()
  double staged_ms = 0;     ///< from save() until the arrays were free
  double committed_ms = 0;  ///< from save() until the step was durable
  double megabytes = 0;     ///< of all files of the step, 10^6 bytes
  std::string error;        ///< empty, or why the save failed
};

/// Writes to standard output; used from one thread.
class Report {
 public:
  explicit Report(std::int64_t last_step);

  /// A line that stays.
  void line(std::string_view text);
  /// Progress after a step: redraws the terminal's line; elsewhere one line in kPlainEvery steps.
  void step(std::int64_t step, double loss, double average, double characters_per_second);
  void saved(const SaveCost& cost);
  /// All saves as a table, and what share of `training` time they took.
  void finish(std::chrono::nanoseconds training);

  [[nodiscard]] bool any_save_failed() const;

 private:
  static constexpr std::int64_t kPlainEvery = 25;

  std::int64_t last_step_;
  bool terminal_;
  bool line_is_open_ = false;
  std::string last_save_;  ///< shown beside the progress
  std::vector<SaveCost> costs_;
};

}  // namespace trainer
