#pragma once
// Huffman codes of zstd's literals: at most 11 bits, canonical. Source: RFC 8878, section 4.2.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::blosc::internal {

inline constexpr std::size_t kSymbols = 256;
inline constexpr unsigned kCodeBitsMax = 11;

using Histogram = std::array<std::uint32_t, kSymbols>;
[[nodiscard]] Histogram count_symbols(std::span<const std::byte> bytes) noexcept;

struct HuffmanCode {
  std::array<std::uint16_t, kSymbols>
      codes{};  ///< the first bit that a decoder sees is the highest
  std::array<std::uint8_t, kSymbols> lengths{};  ///< 0: no code
};
/// A complete code for two symbols or more; near the shortest where 11 bits are not enough for the
/// shortest.
[[nodiscard]] HuffmanCode make_code(const Histogram& histogram) noexcept;
/// Codes from lengths that form a complete code (Kraft's sum is 1).
void assign_codes(HuffmanCode& code) noexcept;
struct CodedSymbols {
  std::uint64_t bits = 0;     ///< of the symbols that have a code
  std::uint64_t uncoded = 0;  ///< symbols that have none
};
[[nodiscard]] CodedSymbols coded_symbols(const Histogram& histogram,
                                         const HuffmanCode& code) noexcept;

/// A header byte and as many bytes as it can tell of.
inline constexpr std::size_t kDescriptionBytesMax = 1 + 128;
/// Writes the tree's description; 0 where the format has none for it: symbols above 128, all of the
/// same length.
[[nodiscard]] std::size_t write_description(const HuffmanCode& code, std::byte* to) noexcept;

/// The way back: the bytes that the description takes; 0 where `from` holds none, or one of codes
/// above 11 bits.
[[nodiscard]] std::size_t read_description(std::span<const std::byte> from,
                                           HuffmanCode& code) noexcept;

/// Writes a stream: `from`'s symbols backwards, a bit that ends it, padding. Returns its bytes; up
/// to kStreamSlack more may be overwritten. 0 where a symbol has no code: what was written, up to
/// kCodeBitsMax bits for each symbol, is then nothing.
using EncodeStream = std::size_t (*)(const HuffmanCode& code, std::span<const std::byte> from,
                                     std::byte* to) noexcept;
inline constexpr std::size_t kStreamSlack = 8;
std::size_t encode_stream_portable(const HuffmanCode& code, std::span<const std::byte> from,
                                   std::byte* to) noexcept;
/// For AVX-512 with BW and VBMI.
std::size_t encode_stream_avx512(const HuffmanCode& code, std::span<const std::byte> from,
                                 std::byte* to) noexcept;

}  // namespace cairn::blosc::internal
