// The choice of a kernel, and the loops that do what no kernel does: other typesizes, and the last
// elements.

#include <cairn/codecs/internal/byte_shuffle.h>

#include <bit>
#include <initializer_list>

namespace cairn::blosc::internal {
namespace {

constexpr std::size_t kKernelTypesizeMax = 16;

bool has_kernel(std::size_t typesize) noexcept {
  return typesize >= 2 && typesize <= kKernelTypesizeMax && std::has_single_bit(typesize);
}
std::size_t kernel_index(std::size_t typesize) noexcept {
  return static_cast<std::size_t>(std::countr_zero(typesize)) - 1;
}

ShuffleKernels best_kernels() noexcept {
  for (const auto set : {InstructionSet::avx512, InstructionSet::avx2, InstructionSet::sse2}) {
    if (has(set)) return shuffle_kernels(set);
  }
  return {};
}
const ShuffleKernels& kernels() noexcept {
  static const ShuffleKernels best = best_kernels();
  return best;
}

}  // namespace

bool has(InstructionSet set) noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (set) {
    case InstructionSet::portable:
    case InstructionSet::sse2:
      return true;
    case InstructionSet::avx2:
      return __builtin_cpu_supports("avx2") != 0;
    case InstructionSet::avx512:
      return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vbmi") != 0;
  }
  return false;
#else
  return set == InstructionSet::portable;
#endif
}

ShuffleKernels shuffle_kernels(InstructionSet set) noexcept {
#if defined(__x86_64__)
  switch (set) {
    case InstructionSet::portable:
      return {};
    case InstructionSet::sse2:
      return shuffle_kernels_sse2();
    case InstructionSet::avx2:
      return shuffle_kernels_avx2();
    case InstructionSet::avx512:
      return shuffle_kernels_avx512();
  }
#else
  (void)set;
#endif
  return {};
}

void shuffle(const ShuffleKernels& chosen, const std::byte* from, std::size_t elements,
             std::size_t typesize, std::byte* const* planes) noexcept {
  std::size_t done = 0;
  if (has_kernel(typesize)) {
    const auto kernel = chosen.shuffle[kernel_index(typesize)];
    if (kernel != nullptr) done = kernel(from, elements, planes);
  }
  for (std::size_t j = 0; j < typesize; ++j) {
    for (std::size_t i = done; i < elements; ++i) planes[j][i] = from[i * typesize + j];
  }
}

void unshuffle(const ShuffleKernels& chosen, const std::byte* const* planes, std::size_t elements,
               std::size_t typesize, std::byte* to) noexcept {
  std::size_t done = 0;
  if (has_kernel(typesize)) {
    const auto kernel = chosen.unshuffle[kernel_index(typesize)];
    if (kernel != nullptr) done = kernel(planes, elements, to);
  }
  for (std::size_t i = done; i < elements; ++i) {
    for (std::size_t j = 0; j < typesize; ++j) to[i * typesize + j] = planes[j][i];
  }
}

void shuffle(const std::byte* from, std::size_t elements, std::size_t typesize,
             std::byte* const* planes) noexcept {
  shuffle(kernels(), from, elements, typesize, planes);
}
void unshuffle(const std::byte* const* planes, std::size_t elements, std::size_t typesize,
               std::byte* to) noexcept {
  unshuffle(kernels(), planes, elements, typesize, to);
}

}  // namespace cairn::blosc::internal
