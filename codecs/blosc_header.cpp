#include <cairn/codecs/blosc.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/blosc_layout.h>
#include <fmt/format.h>

#include <array>
#include <stdexcept>

namespace cairn::blosc {
namespace {

using namespace internal;

constexpr std::array<std::string_view, 6> kNames = {"blosclz", "lz4",  "lz4hc",
                                                    "snappy",  "zlib", "zstd"};
// By the number in the flags; lz4hc differs from lz4 in its encoder only.
constexpr std::array kFormats = {Compressor::blosclz, Compressor::lz4, Compressor::snappy,
                                 Compressor::zlib, Compressor::zstd};

[[noreturn]] void fail(std::string_view field, std::size_t at, std::string found,
                       std::string allowed) {
  throw FormatError("blosc frame", std::string(field), std::move(found), std::move(allowed), at);
}

std::size_t byte_at(std::span<const std::byte> frame, std::size_t at) {
  return std::to_integer<std::size_t>(frame[at]);
}

void read_flags(unsigned flags, Header& header) {
  if ((flags & kReserved) != 0) {
    fail("flags", kFlagsAt, fmt::format("{:#04x}", flags), "bit 3 clear");
  }
  if ((flags & kByteShuffle) != 0 && (flags & kBitShuffle) != 0) {
    fail("flags", kFlagsAt, "both byte and bit shuffle", "at most one (both: a Blosc 2 chunk)");
  }
  const auto format = flags >> kCompressorShift;
  if (format >= kFormats.size()) {
    fail("flags: compressor", kFlagsAt, std::to_string(format),
         "0 (blosclz), 1 (lz4), 2 (snappy), 3 (zlib), 4 (zstd)");
  }
  header.compressor = kFormats[format];
  header.stored = (flags & kStored) != 0;
  if ((flags & kByteShuffle) != 0) header.shuffle = Shuffle::byte;
  if ((flags & kBitShuffle) != 0) header.shuffle = Shuffle::bit;
}

void check_block_bytes(const Header& header) {
  const auto most = std::min(header.content_bytes, kBlockBytesMax);
  if (header.block_bytes == 0 || header.block_bytes > most) {
    fail("blocksize", kBlockBytesAt, std::to_string(header.block_bytes),
         fmt::format("1 to {} with nbytes {}", most, header.content_bytes));
  }
  // The streams of such a block would leave its last bytes unwritten.
  if (header.split && header.block_bytes % header.typesize != 0) {
    fail(
        "blocksize", kBlockBytesAt, std::to_string(header.block_bytes),
        fmt::format("a multiple of the typesize {} in a frame with split blocks", header.typesize));
  }
}

void check_frame_bytes(const Header& header, std::size_t bytes) {
  if (header.frame_bytes != bytes) {
    fail("cbytes", kFrameBytesAt, std::to_string(header.frame_bytes),
         fmt::format("{}, the bytes that there are", bytes));
  }
  if (header.stored) {
    if (header.frame_bytes != kHeaderBytes + header.content_bytes) {
      fail("cbytes", kFrameBytesAt, std::to_string(header.frame_bytes),
           fmt::format("{}: header and nbytes {} of a stored frame",
                       kHeaderBytes + header.content_bytes, header.content_bytes));
    }
    return;
  }
  if (header.content_bytes == 0) return;
  const auto blocks = block_count(header.content_bytes, header.block_bytes);
  // An offset for each block, and at least the length of one stream in each.
  if ((header.frame_bytes - kHeaderBytes) / (2 * kIntBytes) < blocks) {
    fail("cbytes", kFrameBytesAt, std::to_string(header.frame_bytes),
         fmt::format("at least {}: {} blocks (nbytes {}, blocksize {})",
                     kHeaderBytes + blocks * 2 * kIntBytes, blocks, header.content_bytes,
                     header.block_bytes));
  }
}

}  // namespace

std::string_view name_of(Compressor compressor) noexcept {
  return kNames[static_cast<std::size_t>(compressor)];
}

std::string_view name_of(Shuffle shuffle) noexcept {
  switch (shuffle) {
    case Shuffle::none:
      return "noshuffle";
    case Shuffle::byte:
      return "shuffle";
    case Shuffle::bit:
      return "bitshuffle";
  }
  return "unknown";
}

Header decode_header(std::span<const std::byte> frame) {
  if (frame.size() < kHeaderBytes) {
    fail("header", 0, fmt::format("{} bytes", frame.size()),
         fmt::format("at least {}", kHeaderBytes));
  }
  if (byte_at(frame, kVersionAt) != kVersion) {
    fail("version", kVersionAt, std::to_string(byte_at(frame, kVersionAt)),
         fmt::format("{} (Blosc 1)", kVersion));
  }
  if (byte_at(frame, kCompressorVersionAt) != kCompressorVersion) {
    fail("versionlz", kCompressorVersionAt, std::to_string(byte_at(frame, kCompressorVersionAt)),
         std::to_string(kCompressorVersion));
  }
  Header header;
  const auto flags = static_cast<unsigned>(byte_at(frame, kFlagsAt));
  read_flags(flags, header);
  header.typesize = byte_at(frame, kTypesizeAt);
  if (header.typesize == 0) fail("typesize", kTypesizeAt, "0", "1 to 255");
  header.content_bytes = load_u32(frame.data() + kContentBytesAt);
  if (header.content_bytes > kContentBytesMax) {
    fail("nbytes", kContentBytesAt, std::to_string(header.content_bytes),
         fmt::format("at most {}", kContentBytesMax));
  }
  header.block_bytes = load_u32(frame.data() + kBlockBytesAt);
  header.split = splits((flags & kNoSplit) != 0, header.typesize, header.block_bytes);
  header.frame_bytes = load_u32(frame.data() + kFrameBytesAt);
  // Without content there is no block, and encoders disagree about the size of one.
  if (header.content_bytes != 0) check_block_bytes(header);
  check_frame_bytes(header, frame.size());
  return header;
}

void internal::check_arguments(std::span<const std::byte> content, std::size_t typesize,
                               std::span<std::byte> to) {
  if (content.size() > kContentBytesMax) {
    throw std::invalid_argument(
        fmt::format("blosc: {} bytes; one frame holds at most {}: use smaller chunks",
                    content.size(), kContentBytesMax));
  }
  if (typesize == 0 || typesize > kTypesizeMax) {
    throw std::invalid_argument(
        fmt::format("blosc: typesize {}; allowed: 1 to {}", typesize, kTypesizeMax));
  }
  if (to.size() < frame_bound(content.size())) {
    throw std::invalid_argument(fmt::format("blosc: room for {} bytes; a frame of {} may need {}",
                                            to.size(), content.size(),
                                            frame_bound(content.size())));
  }
}

}  // namespace cairn::blosc
