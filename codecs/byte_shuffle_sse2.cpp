#if defined(__x86_64__)

#include <emmintrin.h>

namespace {

struct Set {
  using Register = __m128i;
  static Register load(const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
  }
  static void store(void* to, Register value) {
    _mm_storeu_si128(static_cast<__m128i*>(to), value);
  }
  static void part(Register& first, Register& second) {
    const Register low = _mm_set1_epi16(0xff);
    const Register even = _mm_packus_epi16(_mm_and_si128(first, low), _mm_and_si128(second, low));
    second = _mm_packus_epi16(_mm_srli_epi16(first, 8), _mm_srli_epi16(second, 8));
    first = even;
  }
  static void join(Register& even, Register& odd) {
    const Register first = _mm_unpacklo_epi8(even, odd);
    odd = _mm_unpackhi_epi8(even, odd);
    even = first;
  }
};

}  // namespace

#include <cairn/codecs/internal/byte_shuffle_kernel.h>

namespace cairn::blosc::internal {
ShuffleKernels shuffle_kernels_sse2() noexcept {
  return make_kernels();
}
}  // namespace cairn::blosc::internal

#endif
