#pragma once
// zstd frames without a match: literals only, Huffman-coded, raw or one byte repeated. Source:
// RFC 8878, section 3.1.1.

#include <cairn/codecs/internal/huffman.h>

#include <array>
#include <cstddef>
#include <span>

namespace cairn::blosc::internal {

/// zstd's own limit for the content of a block.
inline constexpr std::size_t kZstdBlockBytes = std::size_t{128} << 10;

/// What writing may need beyond a limit that it keeps to: a block in a code that does not suit it,
/// fields, and a stream's last store.
inline constexpr std::size_t kFrameSlack = kZstdBlockBytes * kCodeBitsMax / 8 + 256;

/// The code that a plane was last coded with, kept from frame to frame. Weights are alike all over
/// an array, and counting symbols costs more than coding them: so a block is coded with the code of
/// the one before, uncounted, and its size tells whether it is like that one.
struct PlaneCode {
  HuffmanCode code;
  double bits_per_symbol = 0;  ///< in the block that it was made for; 0: there is no code yet
  std::size_t description_bytes = 0;
  std::array<std::byte, kDescriptionBytesMax> description{};
  bool size_tells = false;  ///< whether a block's size would show another distribution
  unsigned uncounted = 0;   ///< blocks coded since one was counted
  unsigned pause = 0;       ///< blocks to count before one is tried uncounted again
  unsigned misses = 0;      ///< tries in a row whose size told of another distribution
};

/// Codes `content`, whose parts of `plane_bytes` (all of it for 0) have statistics of their own, as
/// one frame of at most `limit` bytes. Returns its size, 0 where it would be larger. `to` has room
/// for limit + kFrameSlack. `before` is the code of the plane's frame before, a new one for the
/// first, and becomes this one's; frames of equal planes after equal `before` are equal.
[[nodiscard]] std::size_t encode_literals_frame(std::span<const std::byte> content,
                                                std::size_t plane_bytes, EncodeStream encode_stream,
                                                PlaneCode& before, std::byte* to,
                                                std::size_t limit) noexcept;

/// Decodes a frame of the kind that encode_literals_frame() and libzstd without matches write, with
/// the content size that `content` has. False on anything else, damage included; `content` may then
/// hold anything, and libzstd is to be asked. Bytes of `frame` may be anything.
[[nodiscard]] bool decode_literals_frame(std::span<const std::byte> frame,
                                         std::span<std::byte> content);

}  // namespace cairn::blosc::internal
