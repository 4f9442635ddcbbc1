#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/zarr_codecs.h>
#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <memory>
#include <new>
#include <stdexcept>

namespace cairn::zarr::internal {
namespace {

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

/// The tables of high levels take hundreds of MiB, which a thread shall not keep for ever.
constexpr std::size_t kKeptContextBytes = std::size_t{64} << 20;

void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  const std::size_t result = ZSTD_CCtx_setParameter(context, parameter, value);
  if (ZSTD_isError(result)) {
    throw std::invalid_argument(fmt::format("zstd: {}", ZSTD_getErrorName(result)));
  }
}

}  // namespace

std::size_t bound_of(const Zstd&, std::size_t content_bytes) {
  // The rest is what ZSTD_compressBound() leaves out: it takes blocks to be full.
  constexpr std::size_t kFrameBytes = 32;
  return ZSTD_compressBound(content_bytes) + kFrameBytes;
}

std::size_t compress(const Zstd& codec, std::span<const std::byte> content,
                     std::span<std::byte> to) {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> context;
  if (!context) context.reset(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  set(context.get(), ZSTD_c_compressionLevel, codec.level);
  set(context.get(), ZSTD_c_checksumFlag, codec.checksum ? 1 : 0);
  // In one call zstd knows the size of the content, and the frame says so.
  const std::size_t size =
      ZSTD_compress2(context.get(), to.data(), to.size(), content.data(), content.size());
  if (ZSTD_isError(size)) {
    throw std::runtime_error(fmt::format("zstd cannot compress: {}", ZSTD_getErrorName(size)));
  }
  if (ZSTD_sizeof_CCtx(context.get()) > kKeptContextBytes) context.reset();
  return size;
}

std::size_t decompress(const Zstd&, std::span<const std::byte> stream, std::span<std::byte> to) {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  const auto declared = ZSTD_getFrameContentSize(stream.data(), stream.size());
  const bool says = declared != ZSTD_CONTENTSIZE_UNKNOWN && declared != ZSTD_CONTENTSIZE_ERROR;
  if (says && declared > to.size()) {
    fail_too_large("zstd", to.size(), fmt::format("{} bytes", declared));
  }
  // All at once, because then the output is the window: a frame may claim a window of gigabytes,
  // and one that was written as a stream claims more than a small chunk has.
  const std::size_t size =
      ZSTD_decompressDCtx(context.get(), to.data(), to.size(), stream.data(), stream.size());
  if (!ZSTD_isError(size)) return size;
  if (ZSTD_getErrorCode(size) == ZSTD_error_dstSize_tooSmall) fail_too_large("zstd", to.size());
  throw FormatError("zstd", "stream", ZSTD_getErrorName(size), "zstd frames");
}

}  // namespace cairn::zarr::internal
