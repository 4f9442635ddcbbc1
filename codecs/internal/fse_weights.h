#pragma once
// The finite state entropy code that describes a Huffman tree: the alphabet is the 13 weights, the
// table has 64 states at most. Source: RFC 8878, sections 4.1 and 4.2.1.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn::blosc::internal {

/// A symbol's weight is 0 without a code, else (bits of the longest code + 1 - bits of its own).
inline constexpr std::size_t kWeightMax = 12;
inline constexpr unsigned kStateBitsMin = 5, kStateBitsMax = 6;
inline constexpr std::size_t kStatesMax = std::size_t{1} << kStateBitsMax;

/// What a state stands for, and how the next one follows from the stream's next bits.
struct State {
  std::uint8_t weight = 0;
  std::uint8_t bits = 0;
  std::uint8_t base = 0;
};
/// How many of the 2^bits states each weight has; -1: one, and the first to be placed.
struct Distribution {
  unsigned state_bits = kStateBitsMax;
  std::array<std::int8_t, kWeightMax + 1> states{};
};
using StateTable = std::array<State, kStatesMax>;
/// `distribution`'s states add up to 2^state_bits.
[[nodiscard]] StateTable make_states(const Distribution& distribution) noexcept;

/// `weights`: 2 or more, of at least two kinds. Returns the bytes written to `to`, which has room
/// for kWeightBytesMax; 0 where that is not enough.
inline constexpr std::size_t kWeightBytesMax = 127;
[[nodiscard]] std::size_t encode_weights(std::span<const std::uint8_t> weights,
                                         std::byte* to) noexcept;
/// The way back, for up to 255 weights. Returns their number; 0 where `from` follows no such code,
/// or one that this library's encoder never writes.
[[nodiscard]] std::size_t decode_weights(std::span<const std::byte> from,
                                         std::span<std::uint8_t, 255> weights) noexcept;

}  // namespace cairn::blosc::internal
