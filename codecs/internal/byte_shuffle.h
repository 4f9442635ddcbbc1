#pragma once
// Byte shuffle: element i's byte j is byte i of plane j.

#include <cstddef>

namespace cairn::blosc::internal {

/// `planes`: one pointer for each of `typesize` bytes, to `elements` bytes each; they need not lie
/// side by side, so that a plane may go straight into a frame, or come out of one.
void shuffle(const std::byte* from, std::size_t elements, std::size_t typesize,
             std::byte* const* planes) noexcept;
void unshuffle(const std::byte* const* planes, std::size_t elements, std::size_t typesize,
               std::byte* to) noexcept;

/// What one instruction set offers, by log2(typesize) - 1, for typesizes 2, 4, 8 and 16. A kernel
/// does as many whole registers as there are and returns the number of elements done.
struct ShuffleKernels {
  using Shuffle = std::size_t (*)(const std::byte* from, std::size_t elements,
                                  std::byte* const* planes);
  using Unshuffle = std::size_t (*)(const std::byte* const* planes, std::size_t elements,
                                    std::byte* to);
  Shuffle shuffle[4] = {};
  Unshuffle unshuffle[4] = {};
};
/// One source file each, compiled for its instruction set; on other processors than x86-64 they do
/// not exist.
[[nodiscard]] ShuffleKernels shuffle_kernels_sse2() noexcept;
[[nodiscard]] ShuffleKernels shuffle_kernels_avx2() noexcept;
[[nodiscard]] ShuffleKernels shuffle_kernels_avx512() noexcept;

enum class InstructionSet { portable, sse2, avx2, avx512 };  ///< avx512 with BW and VBMI
[[nodiscard]] bool has(InstructionSet set) noexcept;
/// Of that set (empty for portable), for tests; above is the best that the processor has.
[[nodiscard]] ShuffleKernels shuffle_kernels(InstructionSet set) noexcept;
void shuffle(const ShuffleKernels& kernels, const std::byte* from, std::size_t elements,
             std::size_t typesize, std::byte* const* planes) noexcept;
void unshuffle(const ShuffleKernels& kernels, const std::byte* const* planes, std::size_t elements,
               std::size_t typesize, std::byte* to) noexcept;

}  // namespace cairn::blosc::internal
