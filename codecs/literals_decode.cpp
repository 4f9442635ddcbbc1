// The way back from encode_literals_frame(), for what comes often; the rest is libzstd's.

#include <cairn/codecs/internal/huffman_decode.h>
#include <cairn/codecs/internal/literals_frame.h>
#include <cairn/codecs/internal/zstd_layout.h>

#include <cstring>
#include <memory>

namespace cairn::blosc::internal {
namespace {

// Reads fields from the front of bytes that may end too early.
struct Reader {
  std::span<const std::byte> rest;
  bool ok = true;

  std::uint64_t take(std::size_t bytes) {
    std::uint64_t value = 0;
    const auto field = take_span(bytes);
    if (ok) std::memcpy(&value, field.data(), field.size());
    return value;
  }
  std::span<const std::byte> take_span(std::size_t bytes) {
    ok = ok && bytes <= rest.size();
    if (!ok) return {};
    const auto part = rest.first(bytes);
    rest = rest.subspan(bytes);
    return part;
  }
};

// A single segment without a dictionary and checksum; then the content's size.
std::size_t read_frame_header(Reader& reader) {
  if (reader.take(4) != kMagic) return 0;
  const auto descriptor = reader.take(1);
  switch (descriptor) {
    case kSingleSegment:
      return reader.take(1);
    case kSingleSegment | 1U << kSizeShift:
      return reader.take(2) + kSizeOffset2;
    case kSingleSegment | 2U << kSizeShift:
      return reader.take(4);
    default:
      reader.ok = false;
      return 0;
  }
}

/// Codes longer than this on average are libzstd's: a look-up then finds two symbols or fewer, and
/// libzstd, which always looks for two, has less to do for each. Measured on a Zen 5.
constexpr double kMeanBitsMax = 4.2;

// As a code of these lengths expects symbols to come.
double mean_bits(const HuffmanCode& code) {
  double sum = 0;
  for (const unsigned length : code.lengths) sum += length / static_cast<double>(1U << length);
  return sum;
}

struct Decoder {
  HuffmanCode code;
  DecodeTable table;
  bool has_table = false;

  // The block's literals; none where it is not literals in four streams and nothing else.
  std::size_t decode_literals(std::span<const std::byte> block, std::span<std::byte> room);
};

std::size_t Decoder::decode_literals(std::span<const std::byte> block, std::span<std::byte> room) {
  if (block.size() < 3 || block.back() != kNoSequences) return 0;
  Reader reader{block.first(block.size() - 1)};
  const auto first = std::to_integer<unsigned>(block[0]);
  const auto type = static_cast<LiteralsType>(first & 3U);
  const unsigned number = first >> 2 & 3U;
  if (number == 0) return 0;
  const auto format = kSizeFormats[number];
  const auto header = reader.take(format.header_bytes());
  const std::uint64_t mask = (std::uint64_t{1} << format.bits) - 1;
  const std::size_t count = header >> 4 & mask;
  const std::size_t coded_bytes = header >> (4 + format.bits) & mask;
  // Fewer would not come in four streams.
  if (!reader.ok || coded_bytes != reader.rest.size() || count > room.size() ||
      count < kFourStreamsFrom) {
    return 0;
  }
  if (type == LiteralsType::compressed) {
    const auto description_bytes = read_description(reader.rest, code);
    if (description_bytes == 0 || mean_bits(code) > kMeanBitsMax) return 0;
    reader.rest = reader.rest.subspan(description_bytes);
    table.build(code);
    has_table = true;
  } else if (type != LiteralsType::treeless || !has_table) {
    return 0;
  }
  return decode_four_streams(table, reader.rest, room.first(count)) ? count : 0;
}

}  // namespace

bool decode_literals_frame(std::span<const std::byte> frame, std::span<std::byte> content) {
  // 32 KiB that a thread keeps.
  thread_local const std::unique_ptr<Decoder> decoder(new Decoder);
  decoder->has_table = false;
  Reader reader{frame};
  if (read_frame_header(reader) != content.size() || !reader.ok) return false;
  for (bool last = false; !last;) {
    const auto header = reader.take(kBlockHeaderBytes);
    if (!reader.ok) return false;
    last = (header & 1U) != 0;
    const auto type = static_cast<BlockType>(header >> 1 & 3U);
    const std::size_t size = header >> 3;
    std::size_t count = size;
    if (size > kZstdBlockBytes) return false;
    if (type == BlockType::compressed) {
      const auto room = content.first(std::min(content.size(), kZstdBlockBytes));
      count = decoder->decode_literals(reader.take_span(size), room);
      if (count == 0) return false;
    } else if (size > content.size()) {
      return false;
    } else if (type == BlockType::raw) {
      const auto bytes = reader.take_span(size);
      if (!reader.ok) return false;
      if (size != 0) std::memcpy(content.data(), bytes.data(), size);
    } else if (type == BlockType::rle) {
      const auto byte = reader.take(1);
      if (!reader.ok) return false;
      if (size != 0) std::memset(content.data(), static_cast<int>(byte), size);
    } else {
      return false;
    }
    content = content.subspan(count);
  }
  return content.empty() && reader.rest.empty();
}

}  // namespace cairn::blosc::internal
