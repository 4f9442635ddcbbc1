#include <cairn/codecs/internal/literals_frame.h>
#include <cairn/codecs/internal/zstd_layout.h>

#include <algorithm>
#include <cstring>

namespace cairn::blosc::internal {
namespace {

/// A table of an earlier block is used again while its symbols take at most this much more than
/// when it was made.
constexpr double kReuseLoss = 1.005;
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
  Frame(EncodeStream encode_stream, std::byte* to, std::size_t limit)
      : encode_stream_(encode_stream), at_(to), end_(to + limit) {}

  // False when the block would pass the limit.
  bool add_block(std::span<const std::byte> part, bool last);
  std::byte*& at() { return at_; }

 private:
  bool choose_code(const Histogram& histogram, std::size_t bytes);
  void put_literals(std::span<const std::byte> part);
  [[nodiscard]] bool has_room(std::size_t bytes) const {
    return bytes <= static_cast<std::size_t>(end_ - at_);
  }

  EncodeStream encode_stream_;
  std::byte* at_;
  std::byte* end_;
  HuffmanCode code_;
  bool has_code_ = false;
  double bits_per_symbol_ = 0;  ///< of code_, in the block that it was made for
  // What choose_code() decided.
  std::uint64_t payload_bits_ = 0;
  std::size_t description_bytes_ = 0;  ///< 0: the code is the one of an earlier block
  std::array<std::byte, kDescriptionBytesMax> description_;
};

// Whether Huffman codes pay; if so, code_ and the fields after it say how.
bool Frame::choose_code(const Histogram& histogram, std::size_t bytes) {
  const auto symbols = static_cast<double>(bytes);
  if (has_code_) {
    const auto bits = coded_bits(histogram, code_);
    if (bits && static_cast<double>(*bits) <= kReuseLoss * bits_per_symbol_ * symbols) {
      payload_bits_ = *bits;
      description_bytes_ = 0;
      return true;
    }
  }
  const auto code = make_code(histogram);
  const auto bits = *coded_bits(histogram, code);
  const auto description_bytes = write_description(code, description_.data());
  if (description_bytes == 0) return false;
  if (bits / 8 + description_bytes + kLiteralsOverhead > bytes - (bytes >> kGainShift))
    return false;
  code_ = code;
  has_code_ = true;
  bits_per_symbol_ = static_cast<double>(bits) / symbols;
  payload_bits_ = bits;
  description_bytes_ = description_bytes;
  return true;
}

void Frame::put_literals(std::span<const std::byte> part) {
  const auto format = size_format(part.size());
  std::byte* const header = at_;
  at_ += format.header_bytes();
  std::byte* const begin = at_;
  std::memcpy(at_, description_.data(), description_bytes_);
  at_ += description_bytes_;
  if (part.size() < kFourStreamsFrom) {
    at_ += encode_stream_(code_, part, at_);
  } else {
    std::byte* jump = at_;
    at_ += kJumpTableBytes;
    const auto quarter = (part.size() + kStreams - 1) / kStreams;
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      const auto rest = part.subspan(stream * quarter);
      const auto size = encode_stream_(code_, rest.first(std::min(quarter, rest.size())), at_);
      if (stream + 1 < kStreams) put(jump, size, 2);
      at_ += size;
    }
  }
  const auto type = description_bytes_ != 0 ? LiteralsType::compressed : LiteralsType::treeless;
  const auto coded_bytes = static_cast<std::uint64_t>(at_ - begin);
  std::byte* to = header;
  put(to,
      static_cast<unsigned>(type) | format.number << 2 | std::uint64_t{part.size()} << 4 |
          coded_bytes << (4 + format.bits),
      format.header_bytes());
  *at_++ = kNoSequences;
}

bool Frame::add_block(std::span<const std::byte> part, bool last) {
  std::byte* const header = at_;
  const auto histogram = count_symbols(part);
  if (histogram[std::to_integer<std::size_t>(part[0])] == part.size()) {
    if (!has_room(kBlockHeaderBytes + 1)) return false;
    put_block_header(header, BlockType::rle, part.size(), last);
    header[kBlockHeaderBytes] = part[0];
    at_ += kBlockHeaderBytes + 1;
    return true;
  }
  if (!choose_code(histogram, part.size())) {
    if (!has_room(kBlockHeaderBytes + part.size())) return false;
    put_block_header(header, BlockType::raw, part.size(), last);
    std::memcpy(header + kBlockHeaderBytes, part.data(), part.size());
    at_ += kBlockHeaderBytes + part.size();
    return true;
  }
  // Fields and the streams' last bytes are within the slack.
  if (!has_room(payload_bits_ / 8)) return false;
  at_ += kBlockHeaderBytes;
  put_literals(part);
  const auto size = static_cast<std::size_t>(at_ - header) - kBlockHeaderBytes;
  put_block_header(header, BlockType::compressed, size, last);
  return at_ <= end_;
}

}  // namespace

std::size_t encode_literals_frame(std::span<const std::byte> content, std::size_t plane_bytes,
                                  EncodeStream encode_stream, std::byte* to,
                                  std::size_t limit) noexcept {
  Frame frame(encode_stream, to, limit);
  put_frame_header(frame.at(), content.size());
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
