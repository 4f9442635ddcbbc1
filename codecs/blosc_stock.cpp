// libblosc's encoder, and frames that hold their content as it is.

#include <blosc.h>
#include <cairn/codecs/blosc.h>
#include <cairn/codecs/internal/blosc_layout.h>
#include <fmt/format.h>

#include <cstring>
#include <stdexcept>
#include <string>

namespace cairn::blosc {
namespace {

using namespace internal;

constexpr int kLevelMax = 9;
static_assert(kVersion == BLOSC_VERSION_FORMAT && kHeaderBytes == BLOSC_MAX_OVERHEAD);
static_assert(kContentBytesMax == BLOSC_MAX_BUFFERSIZE && kBlockBytesMax == BLOSC_MAX_BLOCKSIZE);

int stock_shuffle(Shuffle shuffle) {
  switch (shuffle) {
    case Shuffle::none:
      return BLOSC_NOSHUFFLE;
    case Shuffle::byte:
      return BLOSC_SHUFFLE;
    case Shuffle::bit:
      return BLOSC_BITSHUFFLE;
  }
  throw std::invalid_argument("blosc: unknown shuffle");
}

}  // namespace

std::size_t encode(std::span<const std::byte> content, const Options& options,
                   std::span<std::byte> to) {
  check_arguments(content, options.typesize, to);
  if (options.level < 0 || options.level > kLevelMax) {
    throw std::invalid_argument(fmt::format("blosc: level {}; allowed: 0 to 9", options.level));
  }
  if (options.blocksize > kBlockBytesMax) {
    throw std::invalid_argument(
        fmt::format("blosc: blocksize {}; allowed: at most {}", options.blocksize, kBlockBytesMax));
  }
  const int shuffle = stock_shuffle(options.shuffle);
  const std::string name(name_of(options.compressor));
  // Not more than this: libblosc counts in 31 bits.
  const auto room = frame_bound(content.size());
  const int size =
      blosc_compress_ctx(options.level, shuffle, options.typesize, content.size(), content.data(),
                         to.data(), room, name.c_str(), options.blocksize, 1);
  if (size <= 0) {
    throw std::runtime_error(
        fmt::format("libblosc cannot compress {} bytes with {} (result {}); "
                    "was it built without this compressor?",
                    content.size(), name, size));
  }
  return static_cast<std::size_t>(size);
}

void store_header(std::size_t content_bytes, std::size_t typesize, std::span<std::byte> to) {
  if (to.size() < kHeaderBytes || typesize < 1 || typesize > kTypesizeMax ||
      content_bytes > kContentBytesMax) {
    throw std::invalid_argument(
        fmt::format("blosc: a header of {} bytes for {} bytes of elements of {}", to.size(),
                    content_bytes, typesize));
  }
  to[kVersionAt] = std::byte{kVersion};
  to[kCompressorVersionAt] = std::byte{kCompressorVersion};
  // As libblosc's zstd would have it, so that what asks a frame for its compressor is told the same
  // for every chunk of an array.
  constexpr unsigned kZstdFormat = BLOSC_ZSTD_FORMAT;
  to[kFlagsAt] = static_cast<std::byte>(kStored | kNoSplit | kZstdFormat << kCompressorShift);
  to[kTypesizeAt] = static_cast<std::byte>(typesize);
  store_u32(&to[kContentBytesAt], content_bytes);
  // Blocks have no meaning here, but libblosc wants them no larger than the content.
  store_u32(&to[kBlockBytesAt], content_bytes == 0 ? 1 : std::min(content_bytes, kBlockBytesMax));
  store_u32(&to[kFrameBytesAt], frame_bound(content_bytes));
}

std::size_t store(std::span<const std::byte> content, std::size_t typesize,
                  std::span<std::byte> to) {
  check_arguments(content, typesize, to);
  store_header(content.size(), typesize, to);
  if (!content.empty()) std::memcpy(&to[kHeaderBytes], content.data(), content.size());
  return frame_bound(content.size());
}

}  // namespace cairn::blosc
