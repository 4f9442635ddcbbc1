#pragma once
// A loop whose turns are timed, and what runs beside it.

#include <functional>
#include <latch>

namespace cairn::bench {

/// Runs while the loop does. `enough` opens when the loop has had the turns that it was asked for;
/// the loop goes on until this returns, so that every turn has it beside itself.
using Beside = std::function<void(const std::latch& enough)>;

/// Nothing runs beside it.
inline void nothing_beside(const std::latch& enough) {
  enough.wait();
}

}  // namespace cairn::bench
