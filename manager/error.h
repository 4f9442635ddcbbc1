#pragma once
// The one exception type of the public interface.

#include <cairn/export.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cairn {

/// What kind of failure an Error is, for programs that must decide what to do.
enum class ErrorCode : std::uint8_t {
  not_found,              ///< no such root, step, item or file
  already_exists,         ///< the step is there, and overwrite was not asked for
  invalid_argument,       ///< the call's arguments are at fault
  permission_denied,      ///< mode bits, ownership, a read-only file system
  no_space,               ///< disk or quota full
  resource_exhausted,     ///< descriptors, memory, staging: a limit of this process or machine
  not_supported,          ///< this file system, kernel or release cannot do it
  busy,                   ///< another process or manager writes here; the step is read or saved
  io_error,               ///< the device or the file system failed
  data_loss,              ///< stored bytes are missing or do not match their checksum
  incomplete_checkpoint,  ///< the directory is a save that never committed
  step_deleted,           ///< the step vanished while it was read
  commit_unknown,  ///< the last directory sync failed: the step may or may not survive a power loss
  cancelled,       ///< SaveFuture::cancel()
  timed_out,       ///< a deadline passed
  closed,          ///< the manager is closed, or this is a forked child
  internal,        ///< a defect of this library: please report it
};
[[nodiscard]] CAIRN_EXPORT std::string_view to_string(ErrorCode code) noexcept;

/// Where an error happened. Empty members do not apply.
struct ErrorContext {
  std::string operation;                ///< what was being done: "save step 3", "open", ...
  std::string path;                     ///< file or directory
  std::optional<std::uint64_t> offset;  ///< bytes from the start of the file
  std::string item;
  std::string key_path;  ///< a/b[3]
  std::string remedy;    ///< what to do, one sentence
};

/// what() says all of it in one line: operation, place, reason, remedy.
class CAIRN_EXPORT Error : public std::runtime_error {
 public:
  Error(ErrorCode code, std::string reason, ErrorContext context = {});
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  [[nodiscard]] const ErrorContext& context() const noexcept { return context_; }

 private:
  ErrorCode code_;
  std::string reason_;
  ErrorContext context_;
};

}  // namespace cairn
