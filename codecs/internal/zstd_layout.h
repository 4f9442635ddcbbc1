#pragma once
// Fields of zstd's frames that the encoder and the decoder of literals share. Source: RFC 8878,
// section 3.1.1.

#include <cstddef>
#include <cstdint>

namespace cairn::blosc::internal {

inline constexpr std::uint32_t kMagic = 0xfd2fb528;
/// Frame header: single segment (the content is the window), content size of 1, 2, 4 bytes.
inline constexpr unsigned kSingleSegment = 0x20, kSizeShift = 6;
/// The 2-byte form of a content size begins at 256.
inline constexpr std::size_t kSizeOffset2 = 256, kSizeMax2 = 65'535 + kSizeOffset2;

enum class BlockType : unsigned { raw = 0, rle = 1, compressed = 2 };
inline constexpr std::size_t kBlockHeaderBytes = 3;

enum class LiteralsType : unsigned { raw = 0, rle = 1, compressed = 2, treeless = 3 };
/// From here on our encoder makes four streams, which decoders read side by side.
inline constexpr std::size_t kFourStreamsFrom = 256;
/// Four streams are preceded by the sizes of the first three, 2 bytes each.
inline constexpr std::size_t kStreams = 4, kJumpTableBytes = 6;
/// "No sequence follows the literals."
inline constexpr std::byte kNoSequences{0};

/// A literals header: type and format, 2 bits each, then the size of the literals and the coded
/// one.
struct SizeFormat {
  unsigned number, bits;
  [[nodiscard]] constexpr std::size_t header_bytes() const { return (4 + 2 * bits + 7) / 8; }
};
/// The first one is for a single stream.
inline constexpr SizeFormat kSizeFormats[] = {{0, 10}, {1, 10}, {2, 14}, {3, 18}};

}  // namespace cairn::blosc::internal
