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

/// One per save and restore, and one per warning. That of a save has its SaveOutcome's name for a
/// message, or its error.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string event;  ///< "save", "restore", "delete", "engine", "lock", ...
  std::optional<Step> step;
  std::string message;  ///< for people
  /// Of array elements; of a save that failed those it had, once it was planned.
  std::uint64_t bytes = 0;
  std::int64_t duration_ns = 0;  ///< of a save or restore, from its call
};

/// One call at a time per manager: from its engine's threads, and from those that call the manager
/// (its constructor, a save() that is refused or skipped). Must not block for long or throw, nor
/// call a member of the manager that would log.
class CAIRN_EXPORT Logger {
 public:
  virtual ~Logger() = default;
  virtual void log(const LogRecord& record) = 0;
};

}  // namespace cairn
