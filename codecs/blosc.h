#pragma once
// Blosc 1 frames: a header, then blocks that are shuffled and compressed each on its own.
// Source: c-blosc 1.21 README_HEADER.rst and blosc.c. What this file's encoders write, any Blosc
// decoder reads; the tests hold libblosc as the oracle.

#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cairn::blosc {

/// What a frame and its settings name; the numbers are not those of the format.
enum class Compressor : std::uint8_t { blosclz, lz4, lz4hc, snappy, zlib, zstd };
enum class Shuffle : std::uint8_t { none, byte, bit };

/// Of a frame.
inline constexpr std::size_t kHeaderBytes = 16;
/// Blosc's limit for the content of one frame.
inline constexpr std::size_t kContentBytesMax = 0x7fffffff - kHeaderBytes;

/// numcodecs' and zarr's names: "zstd", "lz4hc", ...
[[nodiscard]] CAIRN_EXPORT std::string_view name_of(Compressor compressor) noexcept;
/// zarr v3's: "noshuffle", "shuffle", "bitshuffle".
[[nodiscard]] CAIRN_EXPORT std::string_view name_of(Shuffle shuffle) noexcept;

/// What stands before the streams of a frame.
struct Header {
  Compressor compressor = Compressor::zstd;  ///< of the streams; lz4 stands for lz4hc too
  /// What was done to the elements first.
  Shuffle shuffle = Shuffle::none;
  bool stored = false;  ///< the content follows as it is
  bool split = false;   ///< a block has one stream per byte of the element

  /// Bytes of an element, of all elements, and of a block of them.
  std::size_t typesize = 1;
  std::size_t content_bytes = 0;
  std::size_t block_bytes = 0;
  std::size_t frame_bytes = 0;  ///< header included
};
/// Throws FormatError on a frame that is shorter or longer than its header says, on unknown
/// versions and on sizes that contradict each other.
[[nodiscard]] CAIRN_EXPORT Header decode_header(std::span<const std::byte> frame);

/// Bytes of a frame of `content_bytes` at most: an incompressible content is stored as it is.
[[nodiscard]] constexpr std::size_t frame_bound(std::size_t content_bytes) noexcept {
  return content_bytes + kHeaderBytes;
}

/// Everything below returns the bytes of the frame written to `to`, which has room for
/// frame_bound(); contents above kContentBytesMax are std::invalid_argument. Thread-safe; contexts
/// are kept per thread.

/// libblosc's encoder.
struct Options {
  Compressor compressor = Compressor::zstd;
  int level = 5;  ///< 0 to 9
  Shuffle shuffle = Shuffle::byte;
  std::size_t typesize = 1;
  std::size_t blocksize = 0;  ///< 0: libblosc's choice
};
/// The frame that libblosc makes of `content`.
[[nodiscard]] CAIRN_EXPORT std::size_t encode(std::span<const std::byte> content,
                                              const Options& options, std::span<std::byte> to);
/// The content as it is (libblosc's level 0).
[[nodiscard]] CAIRN_EXPORT std::size_t store(std::span<const std::byte> content,
                                             std::size_t typesize, std::span<std::byte> to);

/// The first kHeaderBytes of what store() writes, for content that lies behind them already.
CAIRN_EXPORT void store_header(std::size_t content_bytes, std::size_t typesize,
                               std::span<std::byte> to);

/// How a byte plane becomes a zstd frame.
enum class PlaneCoder : std::uint8_t {
  automatic,  ///< the fastest that this processor has
  libzstd,    ///< no match search, literals forced to Huffman codes
  portable,   ///< our Huffman literals, any processor
  avx512,     ///< the same with AVX-512 VBMI; std::invalid_argument where the processor has none
  matches,    ///< libzstd's level 1, which finds what repeats: in floats, next to nothing
};
/// The float-aware encoder: bytes of elements are shuffled into planes (exponents with exponents,
/// mantissa bytes with mantissa bytes), and each plane of a block of 512 KiB is Huffman-coded, or
/// left as it is where that gains nothing. With PlaneCoder::matches it is for integers.
[[nodiscard]] CAIRN_EXPORT std::size_t encode_planes(std::span<const std::byte> content,
                                                     std::size_t typesize, std::span<std::byte> to,
                                                     PlaneCoder coder = PlaneCoder::automatic);
/// content bytes / frame bytes that encode_planes() would about reach, from the entropy of the
/// planes of a sample (some 64 KiB taken all over `content`); 1.0 or a little less where it gains
/// nothing.
[[nodiscard]] CAIRN_EXPORT double estimate_ratio(std::span<const std::byte> content,
                                                 std::size_t typesize);
/// Pieces of `content` from all over it, of whole elements, 192 KiB in all at most: what to try a
/// coder on that finds what repeats, which no entropy tells.
[[nodiscard]] CAIRN_EXPORT std::vector<std::span<const std::byte>> trial_pieces(
    std::span<const std::byte> content, std::size_t typesize);
/// Whether PlaneCoder::avx512 works here.
[[nodiscard]] CAIRN_EXPORT bool has_avx512_coder() noexcept;

/// Decodes a frame of any encoder into `content`, whose size must be the frame's. Throws
/// FormatError that names field and offset. Bytes of `frame` may be anything.
CAIRN_EXPORT void decode(std::span<const std::byte> frame, std::span<std::byte> content);

}  // namespace cairn::blosc
