// Decoding in four steps: (1) the header; (2) every block's offset and every stream's length, so
// that nothing below can leave the frame; (3) the streams of a block; (4) its planes joined to
// where they belong, raw ones right out of the frame. Steps (3) and (4) are done here for zstd, by
// our own decoder where a stream holds literals only and else by libzstd; libblosc does them for
// the other compressors and for bit shuffle.

#include <blosc.h>
#include <cairn/codecs/blosc.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/blosc_layout.h>
#include <cairn/codecs/internal/byte_shuffle.h>
#include <cairn/codecs/internal/literals_frame.h>
#include <fmt/format.h>
#include <zstd.h>

#include <array>
#include <cstring>
#include <memory>
#include <new>

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

struct FreeDCtx {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

void decode_stream(std::span<const std::byte> stream, std::span<std::byte> to, std::size_t block,
                   std::size_t number, std::size_t at) {
  if (decode_literals_frame(stream, to)) return;
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDCtx> context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  const auto size =
      ZSTD_decompressDCtx(context.get(), to.data(), to.size(), stream.data(), stream.size());
  if (size == to.size()) return;
  fail(fmt::format("block {}: stream {}", block, number), at,
       ZSTD_isError(size) != 0 ? fmt::format("zstd: {}", ZSTD_getErrorName(size))
                               : fmt::format("{} bytes of content", size),
       fmt::format("a zstd frame of {} bytes", to.size()));
}

/// A thread keeps room for blocks of this size, twice what our encoder makes.
constexpr std::size_t kKeptBytes = std::size_t{1} << 20;

// Where streams are decoded to before their bytes are joined. Not zeroed: all of it is written.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) {
    if (bytes > kKeptBytes) {
      own_.reset(new std::byte[bytes]);
      data_ = own_.get();
      return;
    }
    thread_local const std::unique_ptr<std::byte[]> kept(new std::byte[kKeptBytes]);
    data_ = kept.get();
  }
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  std::unique_ptr<std::byte[]> own_;
  std::byte* data_;
};

void decode_block(std::span<const std::byte> frame, const Header& header, const Block& block,
                  std::span<std::byte> scratch, std::span<std::byte> content) {
  const bool shuffled = header.shuffle == Shuffle::byte && header.typesize > 1;
  const auto stream_bytes = block.bytes / block.streams;
  std::array<const std::byte*, kTypesizeMax> planes;
  for_each_stream(frame, block, [&](std::size_t number, std::size_t at, std::size_t size) {
    const auto stream = frame.subspan(at, size);
    const auto place = (shuffled ? scratch : content).subspan(number * stream_bytes, stream_bytes);
    const bool raw = size == stream_bytes;
    planes[number] = raw ? stream.data() : place.data();
    if (!raw) {
      decode_stream(stream, place, block.index, number, at);
    } else if (!shuffled) {
      std::memcpy(place.data(), stream.data(), size);
    }
  });
  if (!shuffled) return;
  const auto elements = block.bytes / header.typesize;
  if (block.streams == 1) {
    // One stream of all planes, and of the bytes after the last whole element.
    for (std::size_t j = 1; j < header.typesize; ++j) planes[j] = planes[0] + j * elements;
    const auto done = elements * header.typesize;
    std::memcpy(content.data() + done, planes[0] + done, block.bytes - done);
  }
  unshuffle(planes.data(), elements, header.typesize, content.data());
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
  if (header.compressor != Compressor::zstd || header.shuffle == Shuffle::bit) {
    for (std::size_t index = 0; index < blocks; ++index) {
      for_each_stream(frame, block_at(header, index), [](auto, auto, auto) {});
    }
    return decode_by_libblosc(frame, content);
  }
  const Scratch scratch(header.block_bytes);
  for (std::size_t index = 0; index < blocks; ++index) {
    const auto block = block_at(header, index);
    decode_block(frame, header, block, {scratch.data(), header.block_bytes},
                 content.subspan(index * header.block_bytes, block.bytes));
  }
}

}  // namespace cairn::blosc
