#pragma once
// How often a chunk has changed lately, in a byte: what decides which file it is written to.

#include <cstdint>

namespace cairn::internal {

/// The heat of a chunk that was `before`, one step later. Fades by a quarter with each step, and
/// tends to 255 for a chunk that always changes.
[[nodiscard]] constexpr std::uint8_t next_heat(std::uint8_t before, bool changed) noexcept {
  constexpr unsigned kOfChange = 64;
  const unsigned faded = before * 3u / 4u;
  const unsigned heat = faded + (changed ? kOfChange : 0u);
  return static_cast<std::uint8_t>(heat > 255 ? 255 : heat);
}

/// From here on a chunk is expected to change again soon: it has just changed, or did so most of
/// the time.
inline constexpr std::uint8_t kHot = 64;

}  // namespace cairn::internal
