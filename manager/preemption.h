#pragma once
// Notice that this process is about to be taken off its machine.

#include <cairn/export.h>

namespace cairn {

/// Notes a preemption for every manager of this process. Async-signal-safe; never undone. The next
/// step for which a manager's reached_preemption() or should_save() is asked is the one that it
/// saves before the end.
CAIRN_EXPORT void notify_preemption() noexcept;
/// Whether it has been called.
[[nodiscard]] CAIRN_EXPORT bool preemption_noticed() noexcept;
/// Makes SIGTERM such a notice, for good; the handler that was there before is called after it,
/// unless it was the default, which would end the process. Nothing else installs a signal handler.
/// Not for concurrent calls. Throws std::system_error.
CAIRN_EXPORT void handle_sigterm_as_preemption();

}  // namespace cairn
