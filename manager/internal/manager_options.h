#pragma once
// What a manager makes of the options that it was given.

#include <cairn/manager/options.h>

#include <string>
#include <vector>

namespace cairn::internal {

/// Throws Error(invalid_argument) naming the option, what it is and what it may be.
void check_options(const ManagerOptions& options);
/// A manager that writes nothing has no use for options about writing: they are reset. What was set
/// is named, for a warning.
[[nodiscard]] std::vector<std::string> reset_for_read_only(ManagerOptions& options);

}  // namespace cairn::internal
