#if defined(__x86_64__)

#include <immintrin.h>

namespace {

// For each byte of a result, which of the 128 bytes of two registers.
struct Selection {
  alignas(64) unsigned char indices[64];
};
template <class Choose>
constexpr Selection select(const Choose& choose) {
  Selection selection{};
  for (int i = 0; i < 64; ++i) selection.indices[i] = static_cast<unsigned char>(choose(i));
  return selection;
}
constexpr Selection kEven = select([](int i) { return 2 * i; });
constexpr Selection kOdd = select([](int i) { return 2 * i + 1; });
constexpr Selection kFirst = select([](int i) { return i / 2 + i % 2 * 64; });
constexpr Selection kSecond = select([](int i) { return 32 + i / 2 + i % 2 * 64; });

struct Set {
  using Register = __m512i;
  static Register load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, Register value) { _mm512_storeu_si512(to, value); }
  static Register pick(Register a, const Selection& selection, Register b) {
    return _mm512_permutex2var_epi8(a, _mm512_load_si512(selection.indices), b);
  }
  static void part(Register& first, Register& second) {
    const Register even = pick(first, kEven, second);
    second = pick(first, kOdd, second);
    first = even;
  }
  static void join(Register& even, Register& odd) {
    const Register first = pick(even, kFirst, odd);
    odd = pick(even, kSecond, odd);
    even = first;
  }
};

}  // namespace

#include <cairn/codecs/internal/byte_shuffle_kernel.h>

namespace cairn::blosc::internal {
ShuffleKernels shuffle_kernels_avx512() noexcept {
  return make_kernels();
}
}  // namespace cairn::blosc::internal

#endif
