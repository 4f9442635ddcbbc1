#if defined(__x86_64__)

#include <immintrin.h>

namespace {

struct Set {
  using Register = __m256i;
  static Register load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  }
  static void store(void* to, Register value) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), value);
  }
  // Packing and unpacking work within 128 bits: quarters and halves must be put into order.
  static void part(Register& first, Register& second) {
    const Register low = _mm256_set1_epi16(0xff);
    const Register even =
        _mm256_packus_epi16(_mm256_and_si256(first, low), _mm256_and_si256(second, low));
    const Register odd =
        _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8));
    constexpr int kQuarters0213 = 0xd8;
    first = _mm256_permute4x64_epi64(even, kQuarters0213);
    second = _mm256_permute4x64_epi64(odd, kQuarters0213);
  }
  static void join(Register& even, Register& odd) {
    const Register low = _mm256_unpacklo_epi8(even, odd);
    const Register high = _mm256_unpackhi_epi8(even, odd);
    constexpr int kLowHalves = 0x20, kHighHalves = 0x31;
    even = _mm256_permute2x128_si256(low, high, kLowHalves);
    odd = _mm256_permute2x128_si256(low, high, kHighHalves);
  }
};

}  // namespace

#include <cairn/codecs/internal/byte_shuffle_kernel.h>

namespace cairn::blosc::internal {
ShuffleKernels shuffle_kernels_avx2() noexcept {
  return make_kernels();
}
}  // namespace cairn::blosc::internal

#endif
