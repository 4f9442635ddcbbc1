// A stream is read from its last bit to its first. While 64 bits and room for several symbols are
// left in each of the four, a round refills all of them from memory and looks up five times in
// each: the chains of shift, load, shift are independent, and the processor overlaps them. What
// remains is decoded symbol by symbol.

#include <cairn/codecs/internal/huffman_decode.h>
#include <cairn/codecs/internal/zstd_layout.h>

#include <bit>
#include <cstring>

namespace cairn::blosc::internal {
namespace {

using Entry = DecodeTable::Entry;

constexpr unsigned kSymbolShift = 8, kCountShift = 56;
/// After a refill at least 57 bits are there.
constexpr int kLookUps = 5;
static_assert(kLookUps * kCodeBitsMax <= 57);
/// A look-up stores 8 bytes and moves on by 6 at most.
constexpr std::size_t kRoundBytes = kLookUps * DecodeTable::kSymbolsMax + 2;

struct Stream {
  const std::byte* begin;
  std::size_t bits;  ///< that are left
  std::byte* to;
  std::byte* end;
};

bool open(std::span<const std::byte> from, std::span<std::byte> content, Stream& stream) {
  if (from.empty() || from.back() == std::byte{0}) return false;
  const auto last = std::to_integer<std::uint8_t>(from.back());
  // The highest bit that is set ends the stream.
  const auto unused = static_cast<std::size_t>(std::countl_zero(last)) + 1;
  stream = {from.data(), from.size() * 8 - unused, content.data(), content.data() + content.size()};
  return true;
}

std::uint64_t load_u64(const std::byte* from) {
  std::uint64_t value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// The next bits, the first one highest. At least 64 are left, so that the load begins in the
// stream.
[[gnu::always_inline]] inline std::uint64_t refill(const Stream& stream) {
  const auto last = (stream.bits + 7) / 8;
  return load_u64(stream.begin + last - sizeof(std::uint64_t)) << (-stream.bits & 7U);
}

[[gnu::always_inline]] inline bool has_round(const Stream& stream) {
  return stream.bits >= 64 && static_cast<std::size_t>(stream.end - stream.to) >= kRoundBytes;
}

[[gnu::always_inline]] inline void look_up(const Entry* table, std::uint64_t& bits,
                                           Stream& stream) {
  const Entry entry = table[bits >> (64 - kCodeBitsMax)];
  const Entry symbols = entry >> kSymbolShift;
  std::memcpy(stream.to, &symbols, sizeof(symbols));
  stream.to += entry >> kCountShift;
  // The lowest byte is below 64.
  bits <<= entry & 63U;
  stream.bits -= entry & 0xffU;
}

[[gnu::always_inline]] inline void run_rounds(const Entry* table, Stream* streams) {
  // Copies, which the compiler keeps in registers.
  Stream a = streams[0], b = streams[1], c = streams[2], d = streams[3];
  while (has_round(a) && has_round(b) && has_round(c) && has_round(d)) {
    auto bits_a = refill(a), bits_b = refill(b), bits_c = refill(c), bits_d = refill(d);
#pragma GCC unroll 5
    for (int i = 0; i < kLookUps; ++i) {
      look_up(table, bits_a, a);
      look_up(table, bits_b, b);
      look_up(table, bits_c, c);
      look_up(table, bits_d, d);
    }
  }
  streams[0] = a;
  streams[1] = b;
  streams[2] = c;
  streams[3] = d;
}

#if defined(__x86_64__)
// BMI2 shifts by any register without touching flags.
__attribute__((target("bmi2"))) void run_rounds_bmi2(const Entry* table, Stream* streams) {
  run_rounds(table, streams);
}
#endif
void run_rounds_portable(const Entry* table, Stream* streams) {
  run_rounds(table, streams);
}

using RunRounds = void (*)(const Entry* table, Stream* streams);
RunRounds choose_rounds() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("bmi2")) return run_rounds_bmi2;
#endif
  return run_rounds_portable;
}

// The last bits: zeroes stand for what lies before the stream.
std::uint64_t last_bits(const Stream& stream) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, stream.begin, (stream.bits + 7) / 8);
  return stream.bits == 0 ? 0 : bits << (64 - stream.bits);
}

// Whether the stream ends where the content does.
bool finish(const DecodeTable& table, const Entry* entries, Stream& stream) {
  while (has_round(stream)) {
    auto bits = refill(stream);
    for (int i = 0; i < kLookUps; ++i) look_up(entries, bits, stream);
  }
  while (stream.to != stream.end) {
    const auto bits = stream.bits >= 64 ? refill(stream) : last_bits(stream);
    const auto symbol =
        static_cast<std::uint8_t>(entries[bits >> (64 - kCodeBitsMax)] >> kSymbolShift);
    const std::size_t length = table.lengths[symbol];
    if (length > stream.bits) return false;
    stream.bits -= length;
    *stream.to++ = static_cast<std::byte>(symbol);
  }
  return stream.bits == 0;
}

Entry prepend(std::uint8_t symbol, unsigned length, Entry rest) {
  constexpr Entry kKept = 0xff'ffff'ffff;  // 5 symbols
  const Entry symbols = (rest >> kSymbolShift & kKept) << kSymbolShift | symbol;
  const Entry count = (rest >> kCountShift) + 1;
  return count << kCountShift | symbols << kSymbolShift | ((rest & 0xff) + length);
}

// Without its last symbol.
Entry shorten(Entry entry, const std::array<std::uint8_t, kSymbols>& lengths) {
  const auto last = static_cast<std::uint8_t>(entry >> (kCountShift - 8));
  return (entry & ~(Entry{0xff} << (kCountShift - 8))) - lengths[last] - (Entry{1} << kCountShift);
}

}  // namespace

void DecodeTable::build(const HuffmanCode& code) noexcept {
  lengths = code.lengths;
  entries.fill(0);
  // A window of k bits is a code of `length` bits, and what a window of k - length bits holds; the
  // places of a code lie side by side.
  for (unsigned window = 1; window <= kCodeBitsMax; ++window) {
    for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
      const unsigned length = lengths[symbol];
      if (length == 0 || length > window) continue;
      const std::size_t count = std::size_t{1} << (window - length);
      const Entry* const rest = &entries[count];
      Entry* const to = &entries[(std::size_t{1} << window) + code.codes[symbol] * count];
      for (std::size_t i = 0; i < count; ++i) {
        to[i] = prepend(static_cast<std::uint8_t>(symbol), length, rest[i]);
      }
      // An entry of `rest` may be full where it has room for that many codes of one bit.
      if (window - length < kSymbolsMax) continue;
      for (std::size_t i = 0; i < count; ++i) {
        const bool full = rest[i] >> kCountShift == kSymbolsMax;
        if (full)
          to[i] = prepend(static_cast<std::uint8_t>(symbol), length, shorten(rest[i], lengths));
      }
    }
  }
}

bool decode_four_streams(const DecodeTable& table, std::span<const std::byte> from,
                         std::span<std::byte> content) noexcept {
  static const RunRounds rounds = choose_rounds();
  if (from.size() < kJumpTableBytes) return false;
  auto rest = from.subspan(kJumpTableBytes);
  const auto quarter = (content.size() + kStreams - 1) / kStreams;
  if ((kStreams - 1) * quarter > content.size()) return false;
  std::array<Stream, kStreams> streams;
  for (std::size_t i = 0; i < kStreams; ++i) {
    const bool last = i + 1 == kStreams;
    std::uint16_t listed = 0;
    if (!last) std::memcpy(&listed, &from[i * sizeof(listed)], sizeof(listed));
    const std::size_t size = last ? rest.size() : listed;
    if (size > rest.size()) return false;
    const auto part = last ? content.subspan(i * quarter) : content.subspan(i * quarter, quarter);
    if (!open(rest.first(size), part, streams[i])) return false;
    rest = rest.subspan(size);
  }
  const Entry* const entries = &table.entries[std::size_t{1} << kCodeBitsMax];
  rounds(entries, streams.data());
  for (auto& stream : streams) {
    if (!finish(table, entries, stream)) return false;
  }
  return true;
}

}  // namespace cairn::blosc::internal
