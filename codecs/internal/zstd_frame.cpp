#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/zstd_frame.h>
#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <new>
#include <stdexcept>

namespace cairn::internal {
namespace {

struct FreeCCtx {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};
struct FreeDCtx {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};
using DecodeContext = std::unique_ptr<ZSTD_DCtx, FreeDCtx>;

/// First output buffer, when the input does not call for more; about one small node.
constexpr std::size_t kFirstOutputBytes = std::size_t{16} << 10;
/// Output that a buffer has room for at first, per byte of input: the usual ratio of metadata.
constexpr std::size_t kExpectedRatio = 8;
/// A context whose window grew above this is not kept.
constexpr std::size_t kKeptContextBytes = std::size_t{16} << 20;
/// The window of zstd's highest level, 128 MiB, which a streaming writer claims even for a small
/// node. Pages of it that no output reaches are never touched.
constexpr int kMaxWindowLog = 27;

ZSTD_DCtx& start(DecodeContext& context) {
  if (!context) context.reset(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  return *context;
}

std::size_t first_output(std::size_t frame_bytes, std::uint64_t max_bytes) {
  const auto wanted = std::max(kFirstOutputBytes, frame_bytes * kExpectedRatio);
  // Neither the frame's own claim nor the limit: both may be far above what comes.
  // One byte above the limit is enough to see that there is more.
  return static_cast<std::size_t>(std::min<std::uint64_t>(wanted, max_bytes + 1));
}

}  // namespace

int min_zstd_level() noexcept {
  return ZSTD_minCLevel();
}
int max_zstd_level() noexcept {
  return ZSTD_maxCLevel();
}

void append_zstd_frame(std::string_view from, int level, std::string& to) {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeCCtx> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  const auto before = to.size();
  to.resize(before + ZSTD_compressBound(from.size()));
  const auto size = ZSTD_compressCCtx(context.get(), to.data() + before, to.size() - before,
                                      from.data(), from.size(), level);
  if (ZSTD_isError(size)) {
    throw std::runtime_error(fmt::format("zstd cannot compress: {}", ZSTD_getErrorName(size)));
  }
  to.resize(before + size);
}

std::string decode_zstd_frame(std::string_view frame, std::uint64_t max_bytes,
                              std::string_view structure,
                              const std::function<bool(std::uint64_t bytes)>& may_take) {
  const auto fail = [&](std::string found, std::string allowed) {
    throw FormatError(std::string(structure), "compressed body", std::move(found),
                      std::move(allowed));
  };
  thread_local DecodeContext context;
  auto& decoder = start(context);
  std::string body;
  body.resize(first_output(frame.size(), max_bytes));
  ZSTD_inBuffer in{frame.data(), frame.size(), 0};
  ZSTD_outBuffer out{body.data(), body.size(), 0};
  for (std::size_t before = 0;; before = out.pos) {
    const auto hint = ZSTD_decompressStream(&decoder, &out, &in);
    if (ZSTD_isError(hint)) {
      fail(fmt::format("zstd: {}", ZSTD_getErrorName(hint)), "one zstd frame");
    }
    if (out.pos > max_bytes) {
      fail(fmt::format("more than {} bytes when decoded", max_bytes),
           fmt::format("at most {}", max_bytes));
    }
    if (may_take && !may_take(out.pos - before)) {
      fail(fmt::format("{} bytes or more when decoded", out.pos),
           "less, given the size of all nodes");
    }
    if (hint == 0) break;
    if (out.pos < out.size) {
      // zstd leaves room only when it has no input left.
      if (in.pos == in.size) fail("the end within a zstd frame", "one zstd frame");
      continue;
    }
    body.resize(static_cast<std::size_t>(std::min<std::uint64_t>(2 * body.size(), max_bytes + 1)));
    out = {body.data(), body.size(), out.pos};
  }
  if (in.pos != in.size) {
    fail(fmt::format("{} bytes after the zstd frame", in.size - in.pos), "none");
  }
  body.resize(out.pos);
  // One frame with a huge window must not cost the thread that memory for ever.
  if (ZSTD_sizeof_DCtx(&decoder) > kKeptContextBytes) context.reset();
  return body;
}

}  // namespace cairn::internal
