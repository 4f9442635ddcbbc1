#pragma once

#include <string>

namespace cairn::internal {

/// `text` in one line, cut to a readable length, for an error: names and values come from files
/// that anybody may have written.
[[nodiscard]] std::string readable(std::string text);

}  // namespace cairn::internal
