#include <cairn/codecs/internal/literals_frame.h>
#include <cairn/codecs/internal/zstd_layout.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace cairn::blosc::internal {
namespace {

/// A code is used again while that costs at most this share more than a code of the block's own.
/// Uncounted, the size must be the expected one within this share.
constexpr double kUnlike = 0.01;
bool is_like(double bits, double bits_expected) {
  return std::abs(bits - bits_expected) <= kUnlike * bits_expected;
}
/// Blocks from here on are coded uncounted, this many between two that are counted; ends of streams
/// are nothing beside the content. After misses in a row 1, 3, 7 blocks are counted.
constexpr std::size_t kUncountedFrom = std::size_t{32} << 10;
constexpr unsigned kUncountedMax = 15, kMissesMax = 3;
/// A block is coded when that saves one byte in so many.
constexpr std::size_t kGainShift = 6;
/// Header, jump table, the end of each stream, and the byte that says how many sequences follow.
constexpr std::size_t kLiteralsOverhead = 5 + kJumpTableBytes + kStreams + 1;

void put(std::byte*& to, std::uint64_t value, std::size_t bytes) {
  std::memcpy(to, &value, bytes);
  to += bytes;
}

void put_block_header(std::byte* to, BlockType type, std::size_t size, bool last) {
  put(to, (last ? 1U : 0U) | static_cast<unsigned>(type) << 1 | std::uint64_t{size} << 3,
      kBlockHeaderBytes);
}

void put_frame_header(std::byte*& to, std::size_t content_bytes) {
  put(to, kMagic, 4);
  if (content_bytes < kSizeOffset2) {
    put(to, kSingleSegment, 1);
    put(to, content_bytes, 1);
  } else if (content_bytes <= kSizeMax2) {
    put(to, kSingleSegment | 1U << kSizeShift, 1);
    put(to, content_bytes - kSizeOffset2, 2);
  } else {
    put(to, kSingleSegment | 2U << kSizeShift, 1);
    put(to, content_bytes, 4);
  }
}

SizeFormat size_format(std::size_t content_bytes) {
  if (content_bytes < kFourStreamsFrom) return kSizeFormats[0];
  // Coded literals are smaller than the content.
  if (content_bytes < 1U << kSizeFormats[1].bits) return kSizeFormats[1];
  if (content_bytes < 1U << kSizeFormats[2].bits) return kSizeFormats[2];
  return kSizeFormats[3];
}

// One frame being written.
class Frame {
 public:
  Frame(EncodeStream encode_stream, PlaneCode& before, std::byte* to, std::size_t limit)
      : encode_stream_(encode_stream), code_(before), at_(to), end_(to + limit) {}

  // False when the block would pass the limit.
  bool add_block(std::span<const std::byte> part, bool last);
  std::byte*& at() { return at_; }

 private:
  bool add_uncounted(std::span<const std::byte> part, bool last);
  bool choose_code(const Histogram& histogram, std::size_t bytes);
  std::size_t put_literals(std::span<const std::byte> part, bool last);
  [[nodiscard]] bool has_room(std::size_t bytes) const {
    return bytes <= static_cast<std::size_t>(end_ - at_);
  }

  EncodeStream encode_stream_;
  PlaneCode& code_;
  std::byte* at_;
  std::byte* end_;
  bool described_ = false;  ///< whether a block of this frame has the description of code_
};

bool is_constant(std::span<const std::byte> part) {
  return std::memcmp(part.data(), part.data() + 1, part.size() - 1) == 0;
}

// A code for what was counted, and for rare symbols that are to be expected: those of the code
// before, and the neighbours of what was counted (exponents, in floats).
HuffmanCode with_rare_symbols(const Histogram& histogram, const HuffmanCode& before) {
  Histogram all = histogram;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    const bool expected = before.lengths[symbol] != 0 ||
                          (symbol > 0 && histogram[symbol - 1] != 0) ||
                          (symbol + 1 < kSymbols && histogram[symbol + 1] != 0);
    if (expected) all[symbol] = std::max(all[symbol], 1U);
  }
  return make_code(all);
}

// Whether another distribution of the same symbols shows in the coded size: not where all take
// about the same. Two symbols take a bit each, and no code is shorter.
bool size_tells(const HuffmanCode& code) {
  std::size_t symbols = 0;
  unsigned shortest = kCodeBitsMax, longest = 0;
  for (const unsigned length : code.lengths) {
    if (length == 0) continue;
    ++symbols;
    shortest = std::min(shortest, length);
    longest = std::max(longest, length);
  }
  return symbols == 2 || longest > shortest + 1;
}

// Whether Huffman codes pay; if so, code_ says how.
bool Frame::choose_code(const Histogram& histogram, std::size_t bytes) {
  const auto bits_in = [&](const HuffmanCode& code) {
    const auto [bits, uncoded] = coded_symbols(histogram, code);
    return bits + uncoded * kCodeBitsMax;
  };
  HuffmanCode code = make_code(histogram);
  const auto bits_allowed = static_cast<double>(bits_in(code)) * (1 + kUnlike);
  bool again = false;
  if (code_.bits_per_symbol > 0 && static_cast<double>(bits_in(code_.code)) <= bits_allowed) {
    again = coded_symbols(histogram, code_.code).uncoded == 0;
    const auto wider = again ? code_.code : with_rare_symbols(histogram, code_.code);
    if (static_cast<double>(bits_in(wider)) <= bits_allowed) code = wider;
  }
  const auto bits = bits_in(code);
  if (!again) {
    described_ = false;
    code_.description_bytes = write_description(code, code_.description.data());
  }
  const auto description_bytes = described_ ? 0 : code_.description_bytes;
  code_.code = code;
  code_.bits_per_symbol = static_cast<double>(bits) / static_cast<double>(bytes);
  // No description: there is none for this code, in any frame.
  const bool pays =
      code_.description_bytes != 0 &&
      bits / 8 + description_bytes + kLiteralsOverhead <= bytes - (bytes >> kGainShift);
  if (!pays) code_.bits_per_symbol = 0;
  code_.size_tells = size_tells(code);
  return pays;
}

// Writes a block of literals in code_, unless a symbol has no code or nothing is gained: then at_
// stays. Returns the bytes that its streams take; 0 where a symbol has no code.
std::size_t Frame::put_literals(std::span<const std::byte> part, bool last) {
  const auto format = size_format(part.size());
  std::byte* const literals = at_ + kBlockHeaderBytes;
  std::byte* to = literals + format.header_bytes();
  std::byte* const begin = to;
  if (!described_) to = std::copy_n(code_.description.begin(), code_.description_bytes, to);
  std::size_t streams_bytes = 0;
  const auto add_stream = [&](std::span<const std::byte> symbols) {
    const auto size = encode_stream_(code_.code, symbols, to);
    to += size;
    streams_bytes += size;
    return size;
  };
  if (part.size() < kFourStreamsFrom) {
    if (add_stream(part) == 0) return 0;
  } else {
    std::byte* jump = to;
    to += kJumpTableBytes;
    const auto quarter = (part.size() + kStreams - 1) / kStreams;
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      const auto rest = part.subspan(stream * quarter);
      const auto size = add_stream(rest.first(std::min(quarter, rest.size())));
      if (size == 0) return 0;
      if (stream + 1 < kStreams) put(jump, size, 2);
    }
  }
  const auto coded_bytes = static_cast<std::size_t>(to - begin);
  if (coded_bytes >= part.size()) return streams_bytes;
  const auto type = described_ ? LiteralsType::treeless : LiteralsType::compressed;
  std::byte* header = literals;
  put(header,
      static_cast<unsigned>(type) | format.number << 2 | std::uint64_t{part.size()} << 4 |
          std::uint64_t{coded_bytes} << (4 + format.bits),
      format.header_bytes());
  *to++ = kNoSequences;
  put_block_header(at_, BlockType::compressed, static_cast<std::size_t>(to - literals), last);
  at_ = to;
  described_ = true;
  return streams_bytes;
}

// Codes a block with the code of the one before; false, with nothing written, where that cannot be
// or the size tells of another distribution.
bool Frame::add_uncounted(std::span<const std::byte> part, bool last) {
  if (code_.bits_per_symbol == 0 || part.size() < kUncountedFrom) return false;
  // One byte repeated needs no code, which of two symbols could not be told by the size.
  if (!code_.size_tells || code_.uncounted == kUncountedMax || is_constant(part)) return false;
  if (code_.pause > 0) {
    --code_.pause;
    return false;
  }
  // Should it take more than is left, that is within the slack.
  std::byte* const header = at_;
  const bool described = described_;
  const auto bits = 8 * static_cast<double>(put_literals(part, last));
  const bool fits = at_ != header && at_ <= end_;
  if (fits && is_like(bits, code_.bits_per_symbol * static_cast<double>(part.size()))) {
    ++code_.uncounted;
    code_.misses = 0;
    return true;
  }
  at_ = header;
  described_ = described;
  // A rare symbol gets its code now; another distribution may be followed by a third.
  if (bits > 0) code_.pause = (1U << std::min(++code_.misses, kMissesMax)) - 1;
  return false;
}

bool Frame::add_block(std::span<const std::byte> part, bool last) {
  if (add_uncounted(part, last)) return true;
  std::byte* const header = at_;
  code_.uncounted = 0;
  if (is_constant(part)) {
    if (!has_room(kBlockHeaderBytes + 1)) return false;
    put_block_header(header, BlockType::rle, part.size(), last);
    header[kBlockHeaderBytes] = part[0];
    at_ += kBlockHeaderBytes + 1;
    return true;
  }
  const auto histogram = count_symbols(part);
  if (!choose_code(histogram, part.size())) {
    if (!has_room(kBlockHeaderBytes + part.size())) return false;
    put_block_header(header, BlockType::raw, part.size(), last);
    std::memcpy(header + kBlockHeaderBytes, part.data(), part.size());
    at_ += kBlockHeaderBytes + part.size();
    return true;
  }
  // Fields and the streams' last bytes are within the slack.
  if (!has_room(coded_symbols(histogram, code_.code).bits / 8)) return false;
  put_literals(part, last);
  return at_ != header && at_ <= end_;
}

}  // namespace

std::size_t encode_literals_frame(std::span<const std::byte> content, std::size_t plane_bytes,
                                  EncodeStream encode_stream, PlaneCode& before, std::byte* to,
                                  std::size_t limit) noexcept {
  Frame frame(encode_stream, before, to, limit);
  put_frame_header(frame.at(), content.size());
  if (static_cast<std::size_t>(frame.at() - to) > limit) return 0;
  if (plane_bytes == 0) plane_bytes = content.size();
  while (!content.empty()) {
    auto plane = content.first(std::min(plane_bytes, content.size()));
    content = content.subspan(plane.size());
    while (!plane.empty()) {
      const auto part = plane.first(std::min(kZstdBlockBytes, plane.size()));
      plane = plane.subspan(part.size());
      if (!frame.add_block(part, content.empty() && plane.empty())) return 0;
    }
  }
  return static_cast<std::size_t>(frame.at() - to);
}

}  // namespace cairn::blosc::internal
