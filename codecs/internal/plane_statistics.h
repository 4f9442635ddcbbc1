#pragma once
// Whether Huffman codes would pay, from a sample.

#include <cairn/codecs/internal/huffman.h>

#include <cstddef>
#include <span>

namespace cairn::blosc::internal {

/// A plane stays raw unless it loses one byte in so many: decoding must be worth it.
inline constexpr std::size_t kPlaneGain = 32;
inline constexpr double kRawBitsPerByte = 8.0 - 8.0 / kPlaneGain;

/// Of the distribution that `count` symbols of `histogram` were drawn from, in bits per symbol.
[[nodiscard]] double entropy(const Histogram& histogram, std::size_t count) noexcept;
/// Reads 4 KiB all over `plane`. May be wrong: by nature, and a little towards true.
[[nodiscard]] bool seems_compressible(std::span<const std::byte> plane) noexcept;

}  // namespace cairn::blosc::internal
