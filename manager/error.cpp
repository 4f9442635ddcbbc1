#include <cairn/manager/error.h>

#include <fmt/format.h>

namespace cairn {
namespace {

/// what() is a C string: a NUL, which a name from a file may have, would end it.
std::string without_nul(const std::string& text) {
  std::string shown;
  shown.reserve(text.size());
  for (const char c : text) {
    if (c == '\0') {
      shown += "\\x00";
    } else {
      shown += c;
    }
  }
  return shown;
}

std::string compose(const std::string& reason, const ErrorContext& context) {
  std::string text = context.operation;
  auto add = [&text](std::string_view separator, std::string_view part) {
    if (part.empty()) return;
    if (!text.empty()) text += separator;
    text += part;
  };
  if (!context.item.empty()) add(", ", fmt::format("item '{}'", context.item));
  if (!context.key_path.empty()) add(", ", fmt::format("key path {}", context.key_path));
  add(": ", context.path);
  if (context.offset) add(" ", fmt::format("at byte {}", *context.offset));
  add(": ", reason);
  // A reason of several lines, as a diff of trees is, ends with one.
  if (!context.remedy.empty()) add(text.ends_with('\n') ? "" : ". ", context.remedy);
  return without_nul(text);
}

}  // namespace

Error::Error(ErrorCode code, std::string reason, ErrorContext context)
    : std::runtime_error(compose(reason, context)),
      code_(code),
      reason_(std::move(reason)),
      context_(std::move(context)) {}

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::already_exists:
      return "already_exists";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::permission_denied:
      return "permission_denied";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::resource_exhausted:
      return "resource_exhausted";
    case ErrorCode::not_supported:
      return "not_supported";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::io_error:
      return "io_error";
    case ErrorCode::data_loss:
      return "data_loss";
    case ErrorCode::incomplete_checkpoint:
      return "incomplete_checkpoint";
    case ErrorCode::step_deleted:
      return "step_deleted";
    case ErrorCode::commit_unknown:
      return "commit_unknown";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::timed_out:
      return "timed_out";
    case ErrorCode::closed:
      return "closed";
    case ErrorCode::internal:
      return "internal";
  }
  return "internal";
}

}  // namespace cairn
