#pragma once
// Logging is silent until a Logger is given.

#include <cairn/export.h>
#include <cairn/manager/save_future.h>

#include <cstdint>
#include <optional>
#include <string>

namespace cairn {

/// How much a record matters.
enum class LogLevel : std::uint8_t { info, warning, error };

/// One per save and restore, and one per warning.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string event;  ///< "save", "restore", "delete", "engine", "lock", ...
  std::optional<Step> step;
  std::string message;      ///< for people
  std::uint64_t bytes = 0;  ///< of array elements
  std::int64_t duration_ns = 0;
};

/// Called from engine threads, one call at a time per manager; must not block for long or throw.
class CAIRN_EXPORT Logger {
 public:
  virtual ~Logger() = default;
  virtual void log(const LogRecord& record) = 0;
};

}  // namespace cairn
