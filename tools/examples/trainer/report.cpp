#include "trainer/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace trainer {
namespace {

/// 10^6 bytes per millisecond is 10^9 bytes per second.
double gigabytes_per_second(const SaveCost& cost) {
  return cost.committed_ms > 0 ? cost.megabytes / cost.committed_ms : 0;
}

std::string one_line(const SaveCost& cost) {
  if (!cost.error.empty()) return fmt::format("save {} FAILED: {}", cost.step, cost.error);
  return fmt::format("save {}: stall {:.1f} ms, committed in {:.0f} ms, {:.2f} GB/s", cost.step,
                     cost.stall_ms, cost.committed_ms, gigabytes_per_second(cost));
}

}  // namespace

Report::Report(std::int64_t last_step)
    : last_step_(last_step), terminal_(::isatty(STDOUT_FILENO) == 1) {}

void Report::line(std::string_view text) {
  // \r and "erase to the end of the line" take the progress away first.
  fmt::print("{}{}\n", line_is_open_ ? "\r\x1b[K" : "", text);
  line_is_open_ = false;
  std::fflush(stdout);
}

void Report::step(std::int64_t step, double loss, double average, double characters_per_second) {
  const std::string text =
      fmt::format("step {:>5}/{}  loss {:.3f}  average {:.3f}  {:.1f} k characters/s", step,
                  last_step_, loss, average, characters_per_second / 1000);
  if (terminal_) {
    fmt::print("\r\x1b[K{}{}{}", text, last_save_.empty() ? "" : "  | ", last_save_);
    line_is_open_ = true;
    std::fflush(stdout);
  } else if (step % kPlainEvery == 0 || step == last_step_ || step == 1) {
    line(text);
  }
}

void Report::saved(const SaveCost& cost) {
  costs_.push_back(cost);
  last_save_ = one_line(cost);
  if (!terminal_ || !cost.error.empty()) line(last_save_);
}

bool Report::any_save_failed() const {
  return std::any_of(costs_.begin(), costs_.end(),
                     [](const SaveCost& c) { return !c.error.empty(); });
}

void Report::finish(std::chrono::nanoseconds training) {
  if (costs_.empty()) return;
  line(fmt::format("{:>8} {:>10} {:>10} {:>10} {:>13} {:>8} {:>7}", "step", "save() ms", "stall ms",
                   "staged ms", "committed ms", "MB", "GB/s"));
  double stalled_ms = 0;
  double longest_ms = 0;
  for (const SaveCost& cost : costs_) {
    stalled_ms += cost.stall_ms;
    longest_ms = std::max(longest_ms, cost.stall_ms);
    if (!cost.error.empty()) {
      line(fmt::format("{:>8} {:>10.3f} {:>10.1f}     failed", cost.step, cost.call_ms,
                       cost.stall_ms));
      continue;
    }
    line(fmt::format("{:>8} {:>10.3f} {:>10.1f} {:>10.1f} {:>13.1f} {:>8.1f} {:>7.2f}", cost.step,
                     cost.call_ms, cost.stall_ms, cost.staged_ms, cost.committed_ms, cost.megabytes,
                     gigabytes_per_second(cost)));
  }
  const double training_ms = std::chrono::duration<double, std::milli>(training).count();
  line(fmt::format(
      "saves stalled the training for {:.1f} ms of {:.0f} ms ({:.2f} %), at most {:.1f} ms",
      stalled_ms, training_ms, 100 * stalled_ms / training_ms, longest_ms));
}

}  // namespace trainer
