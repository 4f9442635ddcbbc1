#pragma once

#include <cairn/engine/error.h>
#include <cairn/export.h>
#include <cairn/manager/error.h>

namespace cairn {

/// What a failure of the engine is called at the public boundary. Total: unknown kinds are
/// io_error.
[[nodiscard]] CAIRN_EXPORT ErrorCode error_code_of(engine::ErrorKind kind) noexcept;

}  // namespace cairn
