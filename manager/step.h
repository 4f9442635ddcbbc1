#pragma once
// The number that a step is known by.

#include <cstdint>

namespace cairn {

/// A step's number; steps are not negative.
using Step = std::int64_t;

}  // namespace cairn
