#pragma once
// Adam with bias correction (Kingma and Ba, 2015, algorithm 1), and the bfloat16 copies.

#include "trainer/network.h"

#include <cairn/codecs/array.h>

#include <bit>
#include <cstdint>

namespace trainer {

struct Parameter;

inline constexpr float kAdamBeta1 = 0.9F;
inline constexpr float kAdamBeta2 = 0.999F;
inline constexpr float kAdamEpsilon = 1e-8F;

/// To nearest, ties to even; a NaN keeps its sign and becomes quiet.
[[nodiscard]] constexpr std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}
/// Exact.
[[nodiscard]] constexpr float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// `to` (bfloat16) becomes `from` (float32) rounded; same number of elements.
void round_to_bfloat16(const cairn::Array& from, cairn::Array& to);
/// `to` becomes the values of `from` (bfloat16).
void expand_bfloat16(const cairn::Array& from, RowMatrix<float>& to);

/// One step. `step` counts from 1. Changes master, both moments and the bfloat16 copy.
void adam_update(Parameter& parameter, const RowMatrix<float>& gradient, double learning_rate,
                 std::int64_t step);

}  // namespace trainer
