#pragma once

#include <cairn/manager/logger.h>

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::test {

/// Keeps what is logged. Thread-safe.
class LogRecords final : public Logger {
 public:
  void log(const LogRecord& record) override {
    const std::lock_guard lock(mutex_);
    records_.push_back(record);
  }
  [[nodiscard]] std::vector<LogRecord> of(std::string_view event) const {
    const std::lock_guard lock(mutex_);
    std::vector<LogRecord> found;
    for (const LogRecord& record : records_) {
      if (record.event == event) found.push_back(record);
    }
    return found;
  }
  /// A line for each.
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    std::string lines;
    for (const LogRecord& record : records_) lines += record.event + ": " + record.message + "\n";
    return lines;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<LogRecord> records_;
};

}  // namespace cairn::test
