#pragma once
// A loop whose rounds run side by side on the CPU pool.

#include <cairn/manager/internal/storage.h>

#include <cstddef>
#include <functional>

namespace cairn::internal {

/// Calls `work(i)` for every i below `count`, on all workers of the pool at once; returns when no
/// call is running any more. What a call throws is thrown, and no further one begins.
Task<void> loop_on_pool(EnginePtr engine, std::size_t count, std::function<void(std::size_t)> work);

}  // namespace cairn::internal
