// Lengths by Huffman's algorithm on sorted counts, cut to 11 bits and repaired, then canonical
// codes.

#include <cairn/codecs/internal/huffman.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace cairn::blosc::internal {
namespace {

/// Kraft's sum counts in units of the longest code.
constexpr unsigned kWhole = 1U << kCodeBitsMax;

struct Leaf {
  std::uint32_t count;
  std::uint8_t symbol;
};
using Leaves = std::span<const Leaf>;
using Lengths = std::span<std::uint8_t>;

// The lengths of Huffman's code for counts in ascending order; they may be of any length. Leaves
// and inner nodes are two queues, both ascending, so that no heap is needed.
void huffman_lengths(Leaves leaves, Lengths lengths) {
  const auto count = leaves.size();
  std::array<std::uint64_t, kSymbols> weights;  // of inner nodes
  std::array<std::uint16_t, 2 * kSymbols> parents;
  std::size_t leaf = 0, inner = 0;
  for (std::size_t made = 0; made + 1 < count; ++made) {
    weights[made] = 0;
    for (int child = 0; child < 2; ++child) {
      const bool take_leaf =
          leaf < count && (inner == made || leaves[leaf].count <= weights[inner]);
      weights[made] += take_leaf ? leaves[leaf].count : weights[inner];
      // Inner nodes are numbered behind the leaves.
      parents[take_leaf ? leaf++ : count + inner++] = static_cast<std::uint16_t>(count + made);
    }
  }
  std::array<std::uint8_t, 2 * kSymbols> depths;
  depths[2 * count - 2] = 0;
  for (std::size_t node = 2 * count - 2; node-- > 0;) {
    depths[node] = static_cast<std::uint8_t>(depths[parents[node]] + 1);
  }
  std::copy_n(depths.begin(), count, lengths.begin());
}

// Cuts lengths, which descend, and makes the code complete again. Lengthening the rarest of the
// codes that are not yet longest pays back what cutting took; should that pay too much, the most
// frequent symbols that can take the rest are shortened. A rest is always a multiple of the unit of
// the longest code, so some symbol can.
void limit_lengths(Lengths lengths) {
  unsigned sum = 0;
  for (auto& length : lengths) {
    length = std::min<std::uint8_t>(length, kCodeBitsMax);
    sum += kWhole >> length;
  }
  for (unsigned from = kCodeBitsMax - 1; sum > kWhole; --from) {
    assert(from > 0);
    for (std::size_t i = 0; i < lengths.size() && sum > kWhole; ++i) {
      if (lengths[i] != from) continue;
      ++lengths[i];
      sum -= kWhole >> lengths[i];
    }
  }
  while (sum < kWhole) {
    for (std::size_t i = lengths.size(); i-- > 0 && sum < kWhole;) {
      if ((kWhole >> lengths[i]) > kWhole - sum) continue;
      sum += kWhole >> lengths[i];
      --lengths[i];
    }
  }
}

}  // namespace

Histogram count_symbols(std::span<const std::byte> bytes) noexcept {
  // Several tables: a count that was just written cannot be read at once, and equal bytes come
  // close together.
  constexpr std::size_t kTables = 4;
  std::array<Histogram, kTables> tables{};
  std::size_t i = 0;
  for (; bytes.size() - i >= sizeof(std::uint64_t); i += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, &bytes[i], sizeof(word));
    for (unsigned j = 0; j < sizeof(word); ++j) ++tables[j % kTables][(word >> (8 * j)) & 0xff];
  }
  for (; i < bytes.size(); ++i) ++tables[0][std::to_integer<std::size_t>(bytes[i])];
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    tables[0][symbol] += tables[1][symbol] + tables[2][symbol] + tables[3][symbol];
  }
  return tables[0];
}

HuffmanCode make_code(const Histogram& histogram) noexcept {
  std::array<Leaf, kSymbols> storage;
  std::size_t count = 0;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    if (histogram[symbol] == 0) continue;
    storage[count++] = {histogram[symbol], static_cast<std::uint8_t>(symbol)};
  }
  assert(count >= 2);
  const std::span leaves(storage.data(), count);
  std::sort(leaves.begin(), leaves.end(), [](const Leaf& a, const Leaf& b) {
    return a.count != b.count ? a.count < b.count : a.symbol < b.symbol;
  });
  std::array<std::uint8_t, kSymbols> lengths{};
  const Lengths used(lengths.data(), count);
  huffman_lengths(leaves, used);
  if (used[0] > kCodeBitsMax) limit_lengths(used);
  HuffmanCode code;
  for (std::size_t i = 0; i < count; ++i) code.lengths[leaves[i].symbol] = used[i];
  assign_codes(code);
  return code;
}

void assign_codes(HuffmanCode& code) noexcept {
  std::array<std::uint16_t, kCodeBitsMax + 1> of_length{};
  for (const auto length : code.lengths) ++of_length[length];
  // The longest codes begin at 0; the first code of a length follows the last longer one, cut.
  std::array<std::uint16_t, kCodeBitsMax + 2> next{};
  for (unsigned length = kCodeBitsMax; length > 0; --length) {
    next[length] = static_cast<std::uint16_t>(
        length == kCodeBitsMax ? 0 : (next[length + 1] + of_length[length + 1]) >> 1);
  }
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    const auto length = code.lengths[symbol];
    code.codes[symbol] = length == 0 ? std::uint16_t{0} : next[length]++;
  }
}

CodedSymbols coded_symbols(const Histogram& histogram, const HuffmanCode& code) noexcept {
  CodedSymbols sum;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    sum.bits += std::uint64_t{histogram[symbol]} * code.lengths[symbol];
    sum.uncoded += code.lengths[symbol] == 0 ? histogram[symbol] : 0;
  }
  return sum;
}

}  // namespace cairn::blosc::internal
