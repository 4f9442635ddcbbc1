#pragma once
// Decoding of four Huffman streams at once, some symbols for each table look-up.

#include <cairn/codecs/internal/huffman.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::blosc::internal {

/// For the next 11 bits of a stream: all the whole codes in them.
struct DecodeTable {
  /// Byte 0: bits taken; bytes 1 to 6: symbols, the first one lowest; byte 7: their number.
  using Entry = std::uint64_t;
  static constexpr std::size_t kSymbolsMax = 6;
  /// The entries for windows of k bits begin at 2^k; decoding uses those of 11.
  alignas(64) std::array<Entry, std::size_t{2} << kCodeBitsMax> entries;
  std::array<std::uint8_t, kSymbols> lengths;

  /// `code` is complete.
  void build(const HuffmanCode& code) noexcept;
};

/// Decodes the streams, and the table of their sizes before them, to `content`, of 4 bytes or more.
/// False where they do not follow the code, or do not end with the content. Bytes of `from` may be
/// anything.
[[nodiscard]] bool decode_four_streams(const DecodeTable& table, std::span<const std::byte> from,
                                       std::span<std::byte> content) noexcept;

}  // namespace cairn::blosc::internal
