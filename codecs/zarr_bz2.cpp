#include <bzlib.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/zarr_codecs.h>
#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <stdexcept>

namespace cairn::zarr::internal {
namespace {

/// libbz2 counts in 32 bits.
constexpr std::size_t kPieceBytes = std::size_t{1} << 30;

char* chars_of(const std::byte* data) {
  return reinterpret_cast<char*>(const_cast<std::byte*>(data));
}

// libbz2 has no way to use a stream again: it is set up for each.
template <int (*End)(bz_stream*)>
struct Stream {
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { close(); }
  void opened(int result) {
    if (result == BZ_MEM_ERROR) throw std::bad_alloc();
    if (result != BZ_OK) throw std::invalid_argument(fmt::format("bz2: libbz2 error {}", result));
    open = true;
  }
  void close() {
    if (open) End(&bz);
    open = false;
  }
  void offer() {
    bz.next_in = chars_of(in.data());
    bz.avail_in = static_cast<unsigned>(std::min(in.size(), kPieceBytes));
    bz.next_out = chars_of(out.data());
    bz.avail_out = static_cast<unsigned>(std::min(out.size(), kPieceBytes));
  }
  void account() {
    in = in.subspan(static_cast<std::size_t>(bz.next_in - chars_of(in.data())));
    out = out.subspan(static_cast<std::size_t>(bz.next_out - chars_of(out.data())));
  }

  bz_stream bz{};
  bool open = false;
  std::span<const std::byte> in;
  std::span<std::byte> out;
};

std::string text_of(int result) {
  if (result == BZ_DATA_ERROR_MAGIC) return "no bzip2 header";
  if (result == BZ_DATA_ERROR) return "a checksum or block that is wrong";
  return fmt::format("libbz2 error {}", result);
}

}  // namespace

std::size_t bound_of(const Bz2&, std::size_t content_bytes) {
  // libbz2's manual gives 1 % and 600 bytes.
  constexpr std::size_t kFixed = 600;
  return content_bytes + content_bytes / 100 + kFixed;
}

std::size_t compress(const Bz2& codec, std::span<const std::byte> content,
                     std::span<std::byte> to) {
  Stream<BZ2_bzCompressEnd> stream;
  stream.opened(BZ2_bzCompressInit(&stream.bz, codec.level, 0, 0));
  stream.in = content;
  stream.out = to;
  for (int result = BZ_OK; result != BZ_STREAM_END;) {
    stream.offer();
    const bool last = stream.bz.avail_in == stream.in.size();
    result = BZ2_bzCompress(&stream.bz, last ? BZ_FINISH : BZ_RUN);
    stream.account();
    if (result < 0) {
      throw std::runtime_error(fmt::format("bz2 cannot compress: libbz2 error {}", result));
    }
  }
  return to.size() - stream.out.size();
}

std::size_t decompress(const Bz2&, std::span<const std::byte> bytes, std::span<std::byte> to) {
  Stream<BZ2_bzDecompressEnd> stream;
  stream.in = bytes;
  stream.out = to;
  const auto fail = [&](std::string found) {
    throw FormatError("bz2", "stream", std::move(found), "bzip2 streams",
                      bytes.size() - stream.in.size());
  };
  std::byte spare{};  // where output goes that has no room, so that it is seen
  std::size_t written = 0;
  bool full = false;
  do {
    stream.opened(BZ2_bzDecompressInit(&stream.bz, 0, 0));
    for (int result = BZ_OK; result != BZ_STREAM_END;) {
      if (!full && stream.out.empty()) {
        full = true;
        stream.out = {&spare, 1};
      }
      const std::size_t in_before = stream.in.size();
      const std::size_t out_before = stream.out.size();
      stream.offer();
      result = BZ2_bzDecompress(&stream.bz);
      stream.account();
      if (full && stream.out.empty()) fail_too_large("bz2", to.size());
      written = full ? to.size() : to.size() - stream.out.size();
      if (result == BZ_MEM_ERROR) throw std::bad_alloc();
      if (result != BZ_OK && result != BZ_STREAM_END) fail(text_of(result));
      const bool idle = stream.in.size() == in_before && stream.out.size() == out_before;
      if (result == BZ_OK && idle) fail("the end within a stream");
    }
    stream.close();
  } while (!stream.in.empty());
  return written;
}

}  // namespace cairn::zarr::internal
