#pragma once

#include <cairn/export.h>

#include <string_view>

namespace cairn {

/// The library's version, "major.minor.patch". Compare with CAIRN_VERSION_STRING to see whether
/// headers and library belong together.
[[nodiscard]] CAIRN_EXPORT std::string_view version() noexcept;

}  // namespace cairn
