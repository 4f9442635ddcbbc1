#include "codec_peers.h"

#include <blosc.h>
#include <cairn/codecs/blosc.h>
#ifdef CAIRN_BENCH_LZ4
#include <lz4.h>
#endif
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace cairn::bench {
namespace {

std::size_t checked(std::size_t zstd_result) {
  if (ZSTD_isError(zstd_result) != 0) throw std::runtime_error(ZSTD_getErrorName(zstd_result));
  return zstd_result;
}

std::string named(const char* name, int level) {
  return std::string(name) + ' ' + std::to_string(level);
}

CodecRun stock(const char* name, blosc::Compressor compressor, int level) {
  return {named(name, level),
          [=](auto from, auto typesize, auto to) {
            return blosc::encode(from, {compressor, level, blosc::Shuffle::byte, typesize, 0}, to);
          },
          decode_by_libblosc};
}

CodecRun zstd(int level) {
  return {named("zstd", level),
          [level](auto from, auto, auto to) {
            return checked(ZSTD_compress(to.data(), to.size(), from.data(), from.size(), level));
          },
          [](auto from, auto to) {
            checked(ZSTD_decompress(to.data(), to.size(), from.data(), from.size()));
          }};
}

/// Around the stream stands what zarr's codec gzip has there: RFC 1952.
constexpr int kGzipWindowBits = 15 + 16;
constexpr int kMemoryLevel = 8;  // zlib's default

z_stream stream_of(std::span<const std::byte> from, std::span<std::byte> to) {
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = reinterpret_cast<Bytef*>(to.data());
  stream.avail_out = static_cast<uInt>(to.size());
  return stream;
}

std::size_t gzip_encode(int level, std::span<const std::byte> from, std::span<std::byte> to) {
  auto stream = stream_of(from, to);
  if (deflateInit2(&stream, level, Z_DEFLATED, kGzipWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    throw std::runtime_error("zlib cannot begin to compress");
  }
  const int result = deflate(&stream, Z_FINISH);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("zlib cannot compress");
  return stream.total_out;
}

void gzip_decode(std::span<const std::byte> from, std::span<std::byte> to) {
  auto stream = stream_of(from, to);
  if (inflateInit2(&stream, kGzipWindowBits) != Z_OK) {
    throw std::runtime_error("zlib cannot begin to decompress");
  }
  const int result = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (result != Z_STREAM_END || stream.total_out != to.size()) {
    throw std::runtime_error("zlib cannot decompress");
  }
}

CodecRun gzip(int level) {
  return {named("gzip", level),
          [level](auto from, auto, auto to) { return gzip_encode(level, from, to); }, gzip_decode};
}

#ifdef CAIRN_BENCH_LZ4
CodecRun lz4() {
  const auto text = [](const std::byte* bytes) { return reinterpret_cast<const char*>(bytes); };
  return {"lz4",
          [text](auto from, auto, auto to) {
            const int size =
                LZ4_compress_default(text(from.data()), reinterpret_cast<char*>(to.data()),
                                     static_cast<int>(from.size()), static_cast<int>(to.size()));
            if (size <= 0) throw std::runtime_error("LZ4 cannot compress");
            return static_cast<std::size_t>(size);
          },
          [text](auto from, auto to) {
            const int size =
                LZ4_decompress_safe(text(from.data()), reinterpret_cast<char*>(to.data()),
                                    static_cast<int>(from.size()), static_cast<int>(to.size()));
            if (size < 0) throw std::runtime_error("LZ4 cannot decompress");
          }};
}
#endif

}  // namespace

std::vector<CodecRun> peers() {
  std::vector<CodecRun> all;
  all.push_back(stock("blosc-zstd", blosc::Compressor::zstd, 1));
  all.push_back(stock("blosc-zstd", blosc::Compressor::zstd, 5));
  all.push_back(stock("blosc-lz4", blosc::Compressor::lz4, 5));
  all.push_back(zstd(1));
  all.push_back(zstd(3));
#ifdef CAIRN_BENCH_LZ4
  all.push_back(lz4());
#endif
  all.push_back(gzip(6));
  return all;
}

std::size_t peer_bound(std::size_t bytes) {
  // What a header and a trailer of gzip take more than zlib's, and then some.
  constexpr std::size_t kWrapperBytes = 32;
  std::size_t bound = std::max(ZSTD_compressBound(bytes), compressBound(bytes) + kWrapperBytes);
#ifdef CAIRN_BENCH_LZ4
  bound = std::max(bound, static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(bytes))));
#endif
  return bound;
}

void decode_by_libblosc(std::span<const std::byte> from, std::span<std::byte> to) {
  if (::blosc_decompress_ctx(from.data(), to.data(), to.size(), 1) < 0) {
    throw std::runtime_error("libblosc cannot decode");
  }
}

}  // namespace cairn::bench
