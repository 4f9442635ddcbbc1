// The portable encoder of a stream, and the way to the one for AVX-512.

#include <cairn/codecs/internal/huffman.h>
#include <cairn/codecs/internal/huffman_kernel.h>

#include <cstring>

namespace cairn::blosc::internal {
namespace {

/// After a flush fewer than 8 bits wait; so many codes more fit 64 bits.
constexpr std::size_t kCodesPerFlush = 5;
static_assert(7 + kCodesPerFlush * kCodeBitsMax <= 64);

struct BitWriter {
  std::uint64_t bits = 0;
  unsigned count = 0;
  std::byte* to;

  void add(std::uint64_t code, unsigned length) {
    bits |= code << count;
    count += length;
  }
  void flush() {
    std::memcpy(to, &bits, sizeof(bits));
    to += count / 8;
    // Shifted by less than 64: count was.
    bits >>= count & ~7U;
    count &= 7U;
  }
};

}  // namespace

std::size_t encode_stream_portable(const HuffmanCode& code, std::span<const std::byte> from,
                                   std::byte* to) noexcept {
  // One load for a code and its length. What has no code has a bit that no code has.
  constexpr unsigned kLengthShift = 16;
  constexpr std::uint32_t kNoCode = 1U << (kLengthShift - 1);
  static_assert(kCodeBitsMax < kLengthShift);
  std::array<std::uint32_t, kSymbols> table;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    table[symbol] = code.lengths[symbol] == 0
                        ? kNoCode
                        : code.codes[symbol] | std::uint32_t{code.lengths[symbol]} << kLengthShift;
  }
  BitWriter writer{.to = to};
  std::uint32_t seen = 0;
  const auto add = [&](std::byte symbol) {
    const auto entry = table[std::to_integer<std::size_t>(symbol)];
    seen |= entry;
    writer.add(entry & 0xffff, entry >> kLengthShift);
  };
  std::size_t left = from.size();
  for (; left >= kCodesPerFlush; left -= kCodesPerFlush) {
    for (std::size_t i = 1; i <= kCodesPerFlush; ++i) add(from[left - i]);
    writer.flush();
  }
  while (left > 0) add(from[--left]);
  if ((seen & kNoCode) != 0) return 0;
  writer.add(1, 1);
  writer.flush();
  return static_cast<std::size_t>(writer.to - to) + (writer.count > 0 ? 1 : 0);
}

#if defined(__x86_64__)
std::size_t encode_stream_avx512(const HuffmanCode& code, std::span<const std::byte> from,
                                 std::byte* to) noexcept {
  static_assert(kCodeBitsMax - 8 <= kRestLengthShift && kCodeBitsMax < 16);
  KernelTables tables;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    const unsigned bits = code.codes[symbol];
    tables.code_low[symbol] = static_cast<unsigned char>(bits);
    tables.rest[symbol] =
        static_cast<unsigned char>(bits >> 8 | unsigned{code.lengths[symbol]} << kRestLengthShift);
  }
  return encode_stream_kernel(tables, from.data(), from.size(), to);
}
#endif

}  // namespace cairn::blosc::internal
