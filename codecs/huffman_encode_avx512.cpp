// 64 symbols at a time: their codes and lengths are looked up in registers, and neighbours are
// joined, pairs to 32 bits, fours to 64, eights to 64 where they fit; so that the slow part, one
// store after the other at a bit position, is done once for 8 symbols.
#if defined(__x86_64__)

#include <cairn/codecs/internal/huffman_kernel.h>
#include <immintrin.h>

namespace cairn::blosc::internal {
namespace {

constexpr std::size_t kGroup = 64;
/// Bits that can be added to the up to 7 that wait; a flush shifts by less than 64.
constexpr int kBitsAtOnce = 56;

struct Writer {
  unsigned long bits = 0;
  unsigned long count = 0;
  std::byte* to;

  void add(unsigned long code, unsigned long length) {
    bits |= code << count;
    count += length;
    __builtin_memcpy(to, &bits, sizeof(bits));
    to += count / 8;
    bits >>= count & ~7UL;
    count &= 7UL;
  }
};

// 256 bytes in four registers.
struct Table {
  __m512i quarters[4];

  explicit Table(const unsigned char* bytes) {
    for (int i = 0; i < 4; ++i) quarters[i] = _mm512_loadu_si512(bytes + 64 * i);
  }
  __m512i look_up(__m512i symbols, __mmask64 upper) const {
    const __m512i low = _mm512_permutex2var_epi8(quarters[0], symbols, quarters[1]);
    const __m512i high = _mm512_permutex2var_epi8(quarters[2], symbols, quarters[3]);
    return _mm512_mask_blend_epi8(upper, low, high);
  }
};

// Codes with their lengths, in lanes of one width.
struct Joined {
  __m512i codes, lengths;
};

// The earlier symbol of a pair has the lower half of the lane and goes above the later one.
Joined join_16(Joined pairs) {
  const __m512i low = _mm512_set1_epi32(0xffff);
  const __m512i later_length = _mm512_srli_epi32(pairs.lengths, 16);
  const __m512i earlier = _mm512_sllv_epi32(_mm512_and_si512(pairs.codes, low), later_length);
  return {_mm512_or_si512(earlier, _mm512_srli_epi32(pairs.codes, 16)),
          _mm512_add_epi32(_mm512_and_si512(pairs.lengths, low), later_length)};
}
Joined join_32(Joined pairs) {
  const __m512i low = _mm512_set1_epi64(0xffffffff);
  const __m512i later_length = _mm512_srli_epi64(pairs.lengths, 32);
  const __m512i earlier = _mm512_sllv_epi64(_mm512_and_si512(pairs.codes, low), later_length);
  return {_mm512_or_si512(earlier, _mm512_srli_epi64(pairs.codes, 32)),
          _mm512_add_epi64(_mm512_and_si512(pairs.lengths, low), later_length)};
}

void add_lanes(const unsigned long* codes, const unsigned long* lengths, Writer& writer) {
#pragma GCC unroll 8
  for (int lane = 7; lane >= 0; --lane) writer.add(codes[lane], lengths[lane]);
}

// Returns which symbols have no code.
__mmask64 add_group(const std::byte* from, const Table& low_bits, const Table& rest,
                    Writer& writer) {
  const __m512i symbols = _mm512_loadu_si512(from);
  const __mmask64 upper = _mm512_movepi8_mask(symbols);
  const __m512i code_low = low_bits.look_up(symbols, upper);
  const __m512i packed = rest.look_up(symbols, upper);
  const __m512i nibble = _mm512_set1_epi8(0x0f);
  const __m512i code_high = _mm512_and_si512(packed, nibble);
  const __m512i length = _mm512_and_si512(_mm512_srli_epi16(packed, 4), nibble);
  const __mmask64 no_code = _mm512_testn_epi8_mask(length, length);
  const __m512i zero = _mm512_setzero_si512();
  // Unpacking works within 128 bits: lane k of `first` holds symbols 16k to 16k + 7, `second` the
  // next 8.
  const Joined first = join_32(
      join_16({_mm512_unpacklo_epi8(code_low, code_high), _mm512_unpacklo_epi8(length, zero)}));
  const Joined second = join_32(
      join_16({_mm512_unpackhi_epi8(code_low, code_high), _mm512_unpackhi_epi8(length, zero)}));
  // Fours, the even and the odd ones, now all in order.
  const Joined earlier{_mm512_unpacklo_epi64(first.codes, second.codes),
                       _mm512_unpacklo_epi64(first.lengths, second.lengths)};
  const Joined later{_mm512_unpackhi_epi64(first.codes, second.codes),
                     _mm512_unpackhi_epi64(first.lengths, second.lengths)};
  const __m512i lengths = _mm512_add_epi64(earlier.lengths, later.lengths);
  alignas(64) unsigned long codes_of[8], lengths_of[8];
  if (_mm512_cmpgt_epi64_mask(lengths, _mm512_set1_epi64(kBitsAtOnce)) == 0) {
    const __m512i codes =
        _mm512_or_si512(_mm512_sllv_epi64(earlier.codes, later.lengths), later.codes);
    _mm512_store_si512(codes_of, codes);
    _mm512_store_si512(lengths_of, lengths);
    add_lanes(codes_of, lengths_of, writer);
    return no_code;
  }
  alignas(64) unsigned long later_codes[8], later_lengths[8];
  _mm512_store_si512(codes_of, earlier.codes);
  _mm512_store_si512(lengths_of, earlier.lengths);
  _mm512_store_si512(later_codes, later.codes);
  _mm512_store_si512(later_lengths, later.lengths);
#pragma GCC unroll 8
  for (int lane = 7; lane >= 0; --lane) {
    writer.add(later_codes[lane], later_lengths[lane]);
    writer.add(codes_of[lane], lengths_of[lane]);
  }
  return no_code;
}

}  // namespace

std::size_t encode_stream_kernel(const KernelTables& tables, const std::byte* from,
                                 std::size_t count, std::byte* to) noexcept {
  Writer writer{0, 0, to};
  __mmask64 no_code = 0;
  while (count % kGroup != 0) {
    const auto symbol = static_cast<unsigned char>(from[--count]);
    const unsigned long rest = tables.rest[symbol];
    const unsigned long high = rest & ((1UL << kRestLengthShift) - 1);
    writer.add(tables.code_low[symbol] | high << 8, rest >> kRestLengthShift);
    no_code |= rest >> kRestLengthShift == 0 ? 1 : 0;
  }
  const Table code_low(tables.code_low), rest(tables.rest);
  while (count > 0) {
    count -= kGroup;
    no_code |= add_group(from + count, code_low, rest, writer);
  }
  if (no_code != 0) return 0;
  writer.add(1, 1);
  return static_cast<std::size_t>(writer.to - to) + (writer.count > 0 ? 1 : 0);
}

}  // namespace cairn::blosc::internal

#endif
