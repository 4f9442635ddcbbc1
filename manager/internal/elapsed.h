#pragma once
// Differences of stamps that may come from anywhere: no overflow whatever a file holds.

#include <chrono>
#include <cstdint>
#include <limits>

namespace cairn::internal {

/// Nanoseconds from one stamp to another; 0 where the other is earlier.
[[nodiscard]] constexpr std::uint64_t elapsed_ns(std::int64_t from, std::int64_t to) noexcept {
  // Unsigned, because the distance of two int64 does not fit into one.
  return to <= from ? 0 : static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
}

/// A duration that is not negative in nanoseconds; what would not fit is the longest that does.
[[nodiscard]] constexpr std::uint64_t to_ns(std::chrono::milliseconds duration) noexcept {
  constexpr std::uint64_t kNsPerMs = 1'000'000;
  const auto ms = static_cast<std::uint64_t>(duration.count());
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  return ms > kMost / kNsPerMs ? kMost : ms * kNsPerMs;
}

}  // namespace cairn::internal
