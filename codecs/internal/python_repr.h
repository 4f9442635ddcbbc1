#pragma once

#include <string>
#include <string_view>

namespace cairn::internal {

/// Appends Python's repr of a str: single quotes unless only single quotes occur in it; what is not
/// printable (Unicode 14, as CPython 3.11) escaped. Code points that Unicode has not assigned yet,
/// which CPython escapes, stay as they are below U+32000. Throws std::invalid_argument when `utf8`
/// is not UTF-8.
void append_python_repr(std::string& out, std::string_view utf8);

}  // namespace cairn::internal
