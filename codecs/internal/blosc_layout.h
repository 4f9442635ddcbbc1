#pragma once
// Where things are in a Blosc frame (codecs/blosc_format.md); encoders and decoder share it.

#include <cairn/codecs/blosc.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace cairn::blosc::internal {

inline constexpr std::uint8_t kVersion = 2;            ///< of the frame
inline constexpr std::uint8_t kCompressorVersion = 1;  ///< every compressor's format is at 1
inline constexpr std::size_t kTypesizeMax = 255;
/// Bytes of a block's offset and of a stream's length.
inline constexpr std::size_t kIntBytes = 4;

/// Offsets in the header, and the bits of its flags.
inline constexpr std::size_t kVersionAt = 0, kCompressorVersionAt = 1, kFlagsAt = 2,
                             kTypesizeAt = 3;
inline constexpr std::size_t kContentBytesAt = 4, kBlockBytesAt = 8, kFrameBytesAt = 12;
inline constexpr unsigned kByteShuffle = 0x01, kStored = 0x02, kBitShuffle = 0x04, kReserved = 0x08;
inline constexpr unsigned kNoSplit = 0x10, kCompressorShift = 5;

/// A block is split into streams only up to this many bytes per element, and from so many elements
/// on; frames written before the "no split" flag existed rely on both.
inline constexpr std::size_t kSplitTypesizeMax = 16;
inline constexpr std::size_t kSplitElementsMin = 128;
/// libblosc refuses larger blocks: it needs three of them, and offsets of 31 bits.
inline constexpr std::size_t kBlockBytesMax = (0x7fffffff - kTypesizeMax * kIntBytes) / 3;
static_assert(kHeaderBytes == kFrameBytesAt + kIntBytes);

[[nodiscard]] inline std::uint32_t load_u32(const std::byte* from) noexcept {
  std::uint32_t value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
inline void store_u32(std::byte* to, std::size_t value) noexcept {
  const auto narrow = static_cast<std::uint32_t>(value);
  std::memcpy(to, &narrow, sizeof(narrow));
}

[[nodiscard]] constexpr bool splits(bool no_split_flag, std::size_t typesize,
                                    std::size_t block_bytes) noexcept {
  return !no_split_flag && typesize <= kSplitTypesizeMax &&
         block_bytes / typesize >= kSplitElementsMin;
}
[[nodiscard]] constexpr std::size_t block_count(std::size_t content_bytes,
                                                std::size_t block_bytes) noexcept {
  return (content_bytes + block_bytes - 1) / block_bytes;
}

/// Throws std::invalid_argument on what no frame can hold, and on a destination that is too small.
void check_arguments(std::span<const std::byte> content, std::size_t typesize,
                     std::span<std::byte> to);

}  // namespace cairn::blosc::internal
