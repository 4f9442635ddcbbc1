#include <cairn/codecs/internal/byte_shuffle.h>
#include <cairn/codecs/internal/literals_frame.h>
#include <cairn/codecs/internal/plane_coder.h>

#include <memory>
#include <new>
#include <stdexcept>
// For the switch that makes literals Huffman codes at any level; the library exports it.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

namespace cairn::blosc {
namespace {

using namespace internal;

struct FreeCCtx {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};
using Context = std::unique_ptr<ZSTD_CCtx, FreeCCtx>;

/// Steps of so many bytes in the search for matches: in effect none.
constexpr int kNoMatches = -1000;
/// The fastest level that looks at every byte.
constexpr int kMatches = 1;

template <int level>
Context make_context() {
  Context context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  // Negative levels leave literals as they are.
  if (level < 0) {
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
  }
  return context;
}

template <int level>
std::size_t encode_by_libzstd(std::span<const std::byte> content, std::size_t /*plane_bytes*/,
                              PlaneCode& /*before*/, std::byte* to, std::size_t limit) {
  thread_local const Context context = make_context<level>();
  const auto size = ZSTD_compress2(context.get(), to, limit, content.data(), content.size());
  return ZSTD_isError(size) != 0 ? 0 : size;
}

template <EncodeStream encode_stream>
std::size_t encode_literals(std::span<const std::byte> content, std::size_t plane_bytes,
                            PlaneCode& before, std::byte* to, std::size_t limit) {
  return encode_literals_frame(content, plane_bytes, encode_stream, before, to, limit);
}

}  // namespace

bool has_avx512_coder() noexcept {
  static const bool there = has(InstructionSet::avx512);
  return there;
}

EncodePlane internal::plane_encoder(PlaneCoder coder) {
  if (coder == PlaneCoder::automatic) {
    coder = has_avx512_coder() ? PlaneCoder::avx512 : PlaneCoder::portable;
  }
  switch (coder) {
    case PlaneCoder::libzstd:
      return encode_by_libzstd<kNoMatches>;
    case PlaneCoder::matches:
      return encode_by_libzstd<kMatches>;
    case PlaneCoder::portable:
      return encode_literals<encode_stream_portable>;
    case PlaneCoder::avx512:
#if defined(__x86_64__)
      if (has_avx512_coder()) return encode_literals<encode_stream_avx512>;
#endif
      throw std::invalid_argument("blosc: this processor has no AVX-512 VBMI; use automatic");
    case PlaneCoder::automatic:
      break;
  }
  throw std::invalid_argument("blosc: unknown plane coder");
}

}  // namespace cairn::blosc
