#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/zarr_codecs.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <new>
#include <stdexcept>

namespace cairn::zarr::internal {
namespace {

constexpr int kWindowBits = 15;
constexpr int kGzipWrapper = 16;  // added to the window's bits: RFC 1952 around the stream
constexpr int kMemoryLevel = 8;   // zlib's default
/// zlib counts in 32 bits.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;

std::string_view name_of(const Gzip& codec) {
  return codec.zlib ? "zlib" : "gzip";
}
int window_bits(const Gzip& codec) {
  return kWindowBits + (codec.zlib ? 0 : kGzipWrapper);
}

Bytef* bytes_of(const std::byte* data) {
  return reinterpret_cast<Bytef*>(const_cast<std::byte*>(data));
}

// A stream of zlib with the rest of its input and output.
template <int (*End)(z_stream*)>
struct Stream {
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (open) End(&z);
  }

  /// Gives zlib the next pieces.
  void offer() {
    z.next_in = bytes_of(in.data());
    z.avail_in = static_cast<uInt>(std::min(in.size(), kPieceBytes));
    z.next_out = bytes_of(out.data());
    z.avail_out = static_cast<uInt>(std::min(out.size(), kPieceBytes));
  }
  /// Takes off what zlib has read and written.
  void account() {
    in = in.subspan(static_cast<std::size_t>(z.next_in - bytes_of(in.data())));
    out = out.subspan(static_cast<std::size_t>(z.next_out - bytes_of(out.data())));
  }

  z_stream z{};
  bool open = false;
  std::span<const std::byte> in;
  std::span<std::byte> out;
};

struct Deflater : Stream<deflateEnd> {
  int level = 0;
  int bits = 0;

  void start(const Gzip& codec) {
    if (open && (level != codec.level || bits != window_bits(codec))) {
      deflateEnd(&z);
      open = false;
    }
    level = codec.level;
    bits = window_bits(codec);
    const int result =
        open ? deflateReset(&z)
             : deflateInit2(&z, level, Z_DEFLATED, bits, kMemoryLevel, Z_DEFAULT_STRATEGY);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK) throw std::invalid_argument(fmt::format("gzip: zlib error {}", result));
    open = true;
  }
};

struct Inflater : Stream<inflateEnd> {
  void start(const Gzip& codec) {
    const int result =
        open ? inflateReset2(&z, window_bits(codec)) : inflateInit2(&z, window_bits(codec));
    if (result != Z_OK) throw std::bad_alloc();
    open = true;
  }
};

}  // namespace

std::size_t bound_of(const Gzip&, std::size_t content_bytes) {
  // deflateBound() for any state of a stream, and the larger of the two wrappers.
  constexpr std::size_t kFixed = 64;
  return content_bytes + (content_bytes >> 3) + (content_bytes >> 6) + kFixed;
}

std::size_t compress(const Gzip& codec, std::span<const std::byte> content,
                     std::span<std::byte> to) {
  thread_local Deflater deflater;
  deflater.start(codec);
  deflater.in = content;
  deflater.out = to;
  for (int result = Z_OK; result != Z_STREAM_END;) {
    deflater.offer();
    const bool last = deflater.z.avail_in == deflater.in.size();
    result = deflate(&deflater.z, last ? Z_FINISH : Z_NO_FLUSH);
    deflater.account();
    if (result != Z_OK && result != Z_STREAM_END) {
      throw std::runtime_error(fmt::format("gzip cannot compress: zlib error {}", result));
    }
  }
  return to.size() - deflater.out.size();
}

std::size_t decompress(const Gzip& codec, std::span<const std::byte> stream,
                       std::span<std::byte> to) {
  const auto fail = [&](std::string found, std::string allowed, std::size_t rest) {
    throw FormatError(std::string(name_of(codec)), "stream", std::move(found), std::move(allowed),
                      stream.size() - rest);
  };
  thread_local Inflater inflater;
  inflater.start(codec);
  inflater.in = stream;
  inflater.out = to;
  // Where output goes that has no room, so that it is seen.
  std::array<std::byte, 1> spare;
  std::size_t written = 0;
  bool full = false;
  for (;;) {
    if (!full && inflater.out.empty()) {
      full = true;
      written = to.size();
      inflater.out = spare;
    }
    inflater.offer();
    const int result = inflate(&inflater.z, Z_NO_FLUSH);
    inflater.account();
    if (full && inflater.out.empty()) fail_too_large(name_of(codec), to.size());
    if (!full) written = to.size() - inflater.out.size();
    if (result == Z_OK) continue;
    if (result == Z_BUF_ERROR) fail("the end within the stream", "a whole stream", 0);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_STREAM_END) {
      fail(inflater.z.msg != nullptr ? inflater.z.msg : fmt::format("zlib error {}", result),
           codec.zlib ? "a zlib stream (RFC 1950)" : "gzip members (RFC 1952)", inflater.in.size());
    }
    if (inflater.in.empty()) return written;
    if (codec.zlib) {
      fail(fmt::format("{} bytes after the stream", inflater.in.size()), "none",
           inflater.in.size());
    }
    inflateReset(&inflater.z);
  }
}

}  // namespace cairn::zarr::internal
