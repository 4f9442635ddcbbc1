#pragma once
// zstd frames without a match: literals only, Huffman-coded, raw or one byte repeated. Source:
// RFC 8878, section 3.1.1.

#include <cairn/codecs/internal/huffman.h>

#include <cstddef>
#include <span>

namespace cairn::blosc::internal {

/// zstd's own limit for the content of a block.
inline constexpr std::size_t kZstdBlockBytes = std::size_t{128} << 10;

/// What writing may need beyond a limit that it keeps to: fields, and a stream's last store.
inline constexpr std::size_t kFrameSlack = 256;

/// Codes `content`, whose parts of `plane_bytes` (all of it for 0) have statistics of their own, as
/// one frame of at most `limit` bytes. Returns its size, 0 where it would be larger. `to` has room
/// for limit + kFrameSlack.
[[nodiscard]] std::size_t encode_literals_frame(std::span<const std::byte> content,
                                                std::size_t plane_bytes, EncodeStream encode_stream,
                                                std::byte* to, std::size_t limit) noexcept;

/// Decodes a frame of the kind that encode_literals_frame() and libzstd without matches write, with
/// the content size that `content` has. False on anything else, damage included; `content` may then
/// hold anything, and libzstd is to be asked. Bytes of `frame` may be anything.
[[nodiscard]] bool decode_literals_frame(std::span<const std::byte> frame,
                                         std::span<std::byte> content);

}  // namespace cairn::blosc::internal
