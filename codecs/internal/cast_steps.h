#pragma once
// A cast is two steps: elements become numbers of one of four types that the processor computes
// with, and these become elements. Each pair of types then takes one of 23 first steps and one of
// 23 x 4 second ones, and each step is one loop that the compiler can vectorize.

#include <cairn/codecs/dtype.h>

#include <cstddef>

namespace cairn::internal {

/// Converts `count` dense elements; neither place is aligned, and they do not overlap.
using CastRun = void (*)(const std::byte* from, std::byte* to, std::size_t count);

struct CastSteps {
  CastRun load;   ///< null: the elements are such numbers already
  CastRun store;  ///< null: the numbers are such elements already
};
inline constexpr std::size_t kCastNumberBytes = 8;  ///< of the numbers between the steps, at most

/// For real types; a complex number is two of them.
[[nodiscard]] CastSteps cast_steps(DType from, DType to) noexcept;

}  // namespace cairn::internal
