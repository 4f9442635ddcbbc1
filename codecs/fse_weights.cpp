#include <cairn/codecs/internal/fse_weights.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace cairn::blosc::internal {
namespace {

// Bits from the lowest on, to 255 weights of 6 bits and a distribution at most.
class BitString {
 public:
  void add(unsigned value, unsigned count) {
    for (unsigned i = 0; i < count; ++i, ++size_) {
      if ((value >> i & 1U) != 0) bytes_[size_ / 8] |= static_cast<std::uint8_t>(1U << size_ % 8);
    }
  }
  void align() { size_ = (size_ + 7) / 8 * 8; }
  [[nodiscard]] std::size_t bytes() const { return (size_ + 7) / 8; }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }

 private:
  std::size_t size_ = 0;
  std::array<std::uint8_t, 256> bytes_{};
};

// Every weight that occurs gets a state at least, and the most frequent one what rounding leaves.
Distribution distribute(std::span<const std::uint8_t> weights) {
  std::array<std::size_t, kWeightMax + 1> counts{};
  for (const auto weight : weights) ++counts[weight];
  Distribution distribution;
  int left = 1 << distribution.state_bits;
  for (std::size_t weight = 0; weight <= kWeightMax; ++weight) {
    if (counts[weight] == 0) continue;
    const auto share = (counts[weight] << distribution.state_bits) / weights.size();
    distribution.states[weight] = static_cast<std::int8_t>(std::max<std::size_t>(share, 1));
    left -= distribution.states[weight];
  }
  // Below 0 only by the states given to rare weights; no more than 12, from one that has many.
  auto& most = *std::max_element(distribution.states.begin(), distribution.states.end());
  most = static_cast<std::int8_t>(most + left);
  assert(most > 0);
  return distribution;
}

// Each field has as many bits as the largest value that is still possible needs; small values have
// one bit less. A value is the number of states + 1. Zeroes are followed by the count of further
// ones, in digits of 0 to 3.
void write_distribution(const Distribution& distribution, BitString& to) {
  to.add(distribution.state_bits - kStateBitsMin, 4);
  unsigned left = 1U << distribution.state_bits;
  for (std::size_t weight = 0; left > 0; ++weight) {
    const auto states = static_cast<unsigned>(distribution.states[weight]);
    const unsigned bits = static_cast<unsigned>(std::bit_width(left + 1));
    const unsigned half = 1U << (bits - 1);
    const unsigned short_values = 2 * half - (left + 2);
    const unsigned value = states + 1;
    if (value < short_values) {
      to.add(value, bits - 1);
    } else {
      to.add(value < half ? value : value + short_values, bits);
    }
    left -= states;
    if (states != 0) continue;
    unsigned zeroes = 0;
    while (distribution.states[weight + 1] == 0) ++zeroes, ++weight;
    for (; zeroes >= 3; zeroes -= 3) to.add(3, 2);
    to.add(zeroes, 2);
  }
  to.align();
}

}  // namespace

StateTable make_states(const Distribution& distribution) noexcept {
  const unsigned count = 1U << distribution.state_bits;
  StateTable table{};
  unsigned end = count;
  for (std::size_t weight = 0; weight <= kWeightMax; ++weight) {
    if (distribution.states[weight] < 0) table[--end].weight = static_cast<std::uint8_t>(weight);
  }
  // The format's spreading: steps that visit every state once, except those just placed.
  const unsigned step = (count >> 1) + (count >> 3) + 3;
  unsigned at = 0;
  for (std::size_t weight = 0; weight <= kWeightMax; ++weight) {
    for (int i = 0; i < distribution.states[weight]; ++i) {
      table[at].weight = static_cast<std::uint8_t>(weight);
      do at = (at + step) & (count - 1);
      while (at >= end);
    }
  }
  // A weight with n states divides the table into n ranges for the next state. Its lower states
  // have the ranges of twice the width.
  std::array<unsigned, kWeightMax + 1> next{};
  for (std::size_t weight = 0; weight <= kWeightMax; ++weight) {
    next[weight] = static_cast<unsigned>(std::abs(distribution.states[weight]));
  }
  for (unsigned state = 0; state < count; ++state) {
    const auto number = next[table[state].weight]++;
    const auto bits = distribution.state_bits + 1 - static_cast<unsigned>(std::bit_width(number));
    table[state].bits = static_cast<std::uint8_t>(bits);
    table[state].base = static_cast<std::uint8_t>((number << bits) - count);
  }
  return table;
}

// The decoder has two states, for even and odd places, and goes forward; so this goes backwards,
// and the bits that it writes first are read last.
std::size_t encode_weights(std::span<const std::uint8_t> weights, std::byte* to) noexcept {
  assert(weights.size() >= 2);
  const auto distribution = distribute(weights);
  const auto table = make_states(distribution);
  const unsigned count = 1U << distribution.state_bits;
  // Of a weight, the state from which the next one is reached.
  std::array<std::array<std::uint8_t, kStatesMax>, kWeightMax + 1> before;
  std::array<std::uint8_t, kWeightMax + 1> lowest;
  for (unsigned state = count; state-- > 0;) {
    const auto& entry = table[state];
    std::fill_n(before[entry.weight].begin() + entry.base, std::size_t{1} << entry.bits,
                static_cast<std::uint8_t>(state));
    lowest[entry.weight] = static_cast<std::uint8_t>(state);
  }
  BitString bits;
  write_distribution(distribution, bits);
  // The decoder stops when the last two states ask for bits that are not there: a weight's lowest
  // state always asks for one.
  std::array<unsigned, 2> states;
  std::size_t i = weights.size();
  for (int last = 0; last < 2; ++last) {
    --i;
    states[i % 2] = lowest[weights[i]];
    assert(table[states[i % 2]].bits > 0);
  }
  while (i > 0) {
    --i;
    auto& state = states[i % 2];
    const auto previous = before[weights[i]][state];
    bits.add(state - table[previous].base, table[previous].bits);
    state = previous;
  }
  bits.add(states[1], distribution.state_bits);
  bits.add(states[0], distribution.state_bits);
  bits.add(1, 1);
  if (bits.bytes() > kWeightBytesMax) return 0;
  std::memcpy(to, bits.data(), bits.bytes());
  return bits.bytes();
}

namespace {

// `count` bits from bit `at` on, or back from there; those outside of `bytes` are 0.
unsigned bits_at(std::span<const std::byte> bytes, std::size_t at, unsigned count) {
  unsigned value = 0;
  for (unsigned i = 0; i < count; ++i) {
    const auto bit = at + i;
    if (bit / 8 >= bytes.size()) break;
    value |= (std::to_integer<unsigned>(bytes[bit / 8]) >> bit % 8 & 1U) << i;
  }
  return value;
}

// Returns the bytes read; 0 on a distribution of other symbols, or on the end of `from`.
std::size_t read_distribution(std::span<const std::byte> from, Distribution& distribution) {
  distribution.state_bits = bits_at(from, 0, 4) + kStateBitsMin;
  if (distribution.state_bits > kStateBitsMax) return 0;
  std::size_t at = 4;
  unsigned left = 1U << distribution.state_bits;
  for (std::size_t weight = 0; left > 0; ++weight) {
    if (weight > kWeightMax) return 0;
    const auto bits = static_cast<unsigned>(std::bit_width(left + 1));
    const unsigned half = 1U << (bits - 1);
    const unsigned short_values = 2 * half - (left + 2);
    unsigned value = bits_at(from, at, bits - 1);
    at += bits - 1;
    if (value >= short_values) {
      value |= bits_at(from, at++, 1) << (bits - 1);
      if (value >= half) value -= short_values;
    }
    const int states = static_cast<int>(value) - 1;
    distribution.states[weight] = static_cast<std::int8_t>(states);
    left -= static_cast<unsigned>(std::abs(states));
    if (states != 0) continue;
    for (unsigned zeroes = 3; zeroes == 3; weight += zeroes) {
      zeroes = bits_at(from, at, 2);
      at += 2;
    }
  }
  const auto bytes = (at + 7) / 8;
  return bytes <= from.size() ? bytes : 0;
}

}  // namespace

std::size_t decode_weights(std::span<const std::byte> from,
                           std::span<std::uint8_t, 255> weights) noexcept {
  Distribution distribution;
  const auto header_bytes = read_distribution(from, distribution);
  if (header_bytes == 0 || header_bytes == from.size() || from.back() == std::byte{0}) return 0;
  const auto table = make_states(distribution);
  const auto stream = from.subspan(header_bytes);
  // Without the bit that ends the stream.
  auto left =
      stream.size() * 8 -
      static_cast<std::size_t>(std::countl_zero(std::to_integer<std::uint8_t>(stream.back()))) - 1;
  const auto take = [&](unsigned count) {
    left -= count;
    return bits_at(stream, left, count);
  };
  if (left < 2 * distribution.state_bits) return 0;
  std::array<unsigned, 2> states;
  states[0] = take(distribution.state_bits);
  states[1] = take(distribution.state_bits);
  for (std::size_t count = 0; count + 1 < weights.size(); ++count) {
    auto& state = states[count % 2];
    const auto& entry = table[state];
    weights[count] = entry.weight;
    if (entry.bits > left) {
      weights[count + 1] = table[states[(count + 1) % 2]].weight;
      return count + 2;
    }
    state = entry.base + take(entry.bits);
  }
  return 0;
}

}  // namespace cairn::blosc::internal
