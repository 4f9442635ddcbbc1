// A tree's description: the weights of all symbols but the last one, whose weight makes the code
// complete; packed by 4 bits, or by an entropy code of their own.

#include <cairn/codecs/internal/fse_weights.h>
#include <cairn/codecs/internal/huffman.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace cairn::blosc::internal {
namespace {

/// A header byte from here on says how many weights of 4 bits follow, counted from this less one.
constexpr std::size_t kDirectFrom = 128;
constexpr std::size_t kDirectWeightsMax = 128;

std::size_t write_direct(std::span<const std::uint8_t> weights, std::byte* to) {
  *to++ = static_cast<std::byte>(kDirectFrom - 1 + weights.size());
  for (std::size_t i = 0; i < weights.size(); i += 2) {
    const unsigned second = i + 1 < weights.size() ? weights[i + 1] : 0U;
    *to++ = static_cast<std::byte>(unsigned{weights[i]} << 4 | second);
  }
  return 1 + (weights.size() + 1) / 2;
}

}  // namespace

std::size_t write_description(const HuffmanCode& code, std::byte* to) noexcept {
  const unsigned longest = *std::max_element(code.lengths.begin(), code.lengths.end());
  std::size_t last = kSymbols - 1;
  while (code.lengths[last] == 0) --last;
  std::array<std::uint8_t, kSymbols> storage;
  for (std::size_t symbol = 0; symbol < last; ++symbol) {
    const unsigned length = code.lengths[symbol];
    storage[symbol] = static_cast<std::uint8_t>(length == 0 ? 0 : longest + 1 - length);
  }
  const std::span<const std::uint8_t> weights(storage.data(), last);
  const bool direct = weights.size() <= kDirectWeightsMax;
  // A distribution needs two kinds of weights.
  const bool varied = weights.size() >= 2 && std::any_of(weights.begin(), weights.end(),
                                                         [&](auto w) { return w != weights[0]; });
  if (!varied) return direct ? write_direct(weights, to) : 0;
  std::array<std::byte, kWeightBytesMax> coded;
  const auto bytes = encode_weights(weights, coded.data());
  if (direct && (bytes == 0 || bytes > (weights.size() + 1) / 2)) return write_direct(weights, to);
  if (bytes == 0) return 0;
  *to = static_cast<std::byte>(bytes);
  std::memcpy(to + 1, coded.data(), bytes);
  return 1 + bytes;
}

namespace {

using Weights = std::array<std::uint8_t, kSymbols - 1>;

std::size_t read_direct(std::span<const std::byte> from, std::size_t count, Weights& weights) {
  if (from.size() < (count + 1) / 2) return 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto pair = std::to_integer<unsigned>(from[i / 2]);
    weights[i] = static_cast<std::uint8_t>(i % 2 == 0 ? pair >> 4 : pair & 0xf);
  }
  return count;
}

// Lengths from all weights but the last.
bool complete(std::span<const std::uint8_t> weights, HuffmanCode& code) {
  unsigned sum = 0;
  for (const auto weight : weights) {
    if (weight > kWeightMax) return false;
    if (weight > 0) sum += 1U << (weight - 1);
  }
  const auto longest = static_cast<unsigned>(std::bit_width(sum));
  if (sum == 0 || longest > kCodeBitsMax) return false;
  const unsigned rest = (1U << longest) - sum;
  if (!std::has_single_bit(rest)) return false;
  const auto last_weight = static_cast<unsigned>(std::bit_width(rest));
  // Weights count from the longest codes, so some symbol has weight 1. libzstd asks for it, too.
  const bool has_longest = last_weight == 1 || std::ranges::find(weights, 1) != weights.end();
  if (!has_longest) return false;
  code.lengths = {};
  for (std::size_t symbol = 0; symbol < weights.size(); ++symbol) {
    const unsigned weight = weights[symbol];
    code.lengths[symbol] = static_cast<std::uint8_t>(weight == 0 ? 0 : longest + 1 - weight);
  }
  code.lengths[weights.size()] = static_cast<std::uint8_t>(longest + 1 - last_weight);
  return true;
}

}  // namespace

std::size_t read_description(std::span<const std::byte> from, HuffmanCode& code) noexcept {
  if (from.empty()) return 0;
  const auto header = std::to_integer<std::size_t>(from[0]);
  const auto rest = from.subspan(1);
  Weights weights;
  std::size_t count = 0, bytes = header;
  if (header >= kDirectFrom) {
    count = read_direct(rest, header - (kDirectFrom - 1), weights);
    bytes = (count + 1) / 2;
  } else if (header <= rest.size() && header > 0) {
    count = decode_weights(rest.first(header), weights);
  }
  if (count == 0 || !complete({weights.data(), count}, code)) return 0;
  assign_codes(code);
  return 1 + bytes;
}

}  // namespace cairn::blosc::internal
