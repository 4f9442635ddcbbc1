#pragma once
// What the options say about the other processes.

#include <cairn/manager/internal/process_group.h>
#include <cairn/manager/options.h>

namespace cairn::internal {

/// Null where this process is alone. Throws Error: invalid_argument for processes that cannot be,
/// not_supported for what several processes cannot do together.
[[nodiscard]] ProcessGroupPtr group_of(const ManagerOptions& options);

}  // namespace cairn::internal
