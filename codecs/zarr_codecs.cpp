#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/zarr_codecs.h>
#include <fmt/format.h>

#include <cassert>
#include <concepts>
#include <stdexcept>

namespace cairn::zarr::internal {
namespace {

/// RFC 8878: a block has 128 KiB at most, and 4 bytes at least (its header, and what it repeats).
constexpr std::uint64_t kZstdExpansion = (std::uint64_t{128} << 10) / 4;
/// RFC 1951: a match has 258 bytes at most, and 2 bits at least. zlib's technical notes say 1032,
/// too.
constexpr std::uint64_t kDeflateExpansion = 258 * 8 / 2;
/// bzip2's compress.c and decompress.c: a block has 900,000 bytes, any five of which may stand for
/// 259, and 26 bytes at least: 1.8 million. Of zeros bzip2 itself makes 45 bytes from 44 MiB.
constexpr std::uint64_t kBz2Expansion = std::uint64_t{1} << 21;
/// A frame's blocks are streams of zstd, deflate, or LZ77 with lengths in bytes (LZ4, BloscLZ: 255
/// from one; Snappy: 64 from three), with 8 bytes around each.
constexpr std::uint64_t kBloscExpansion = kZstdExpansion;
static_assert(kBloscExpansion >= kDeflateExpansion && kBloscExpansion >= 255);

std::uint64_t expansion_of(const Zstd&) {
  return kZstdExpansion;
}
std::uint64_t expansion_of(const Gzip&) {
  return kDeflateExpansion;
}
std::uint64_t expansion_of(const Bz2&) {
  return kBz2Expansion;
}
std::uint64_t expansion_of(const Blosc&) {
  return kBloscExpansion;
}

template <class T>
concept Compressor = std::same_as<T, Zstd> || std::same_as<T, Gzip> || std::same_as<T, Bz2> ||
    std::same_as<T, Blosc>;

// Calls `function` with the compressor that `codec` is.
template <class Function>
std::size_t with_compressor(const Codec& codec, const Function& function) {
  return std::visit(
      [&](const auto& one) -> std::size_t {
        if constexpr (Compressor<std::remove_cvref_t<decltype(one)>>) return function(one);
        assert(false && "a chain's serializer or checksum is no compressor");
        throw std::invalid_argument("zarr: this codec is no compressor");
      },
      codec.value);
}

}  // namespace

std::size_t compressed_bound(const Codec& codec, std::size_t content_bytes) {
  const std::size_t bound =
      with_compressor(codec, [&](const auto& one) { return bound_of(one, content_bytes); });
  // It wrapped around.
  if (bound < content_bytes) throw std::invalid_argument("zarr: a chunk of more than 2^64 bytes");
  return bound;
}

std::uint64_t max_expansion(const Codec& codec) {
  return with_compressor(codec, [](const auto& one) { return expansion_of(one); });
}

std::size_t compress(const Codec& codec, std::span<const std::byte> content,
                     std::span<std::byte> to) {
  return with_compressor(codec, [&](const auto& one) { return compress(one, content, to); });
}

std::size_t decompress(const Codec& codec, std::span<const std::byte> stream,
                       std::span<std::byte> to) {
  return with_compressor(codec, [&](const auto& one) { return decompress(one, stream, to); });
}

void fail_too_large(std::string_view structure, std::size_t room, std::string declared) {
  if (declared.empty()) declared = fmt::format("more than {} bytes", room);
  throw FormatError(std::string(structure), "content", std::move(declared),
                    fmt::format("{} bytes", room));
}

// ---- blosc: cairn/codecs/blosc.h does the work ----

std::size_t bound_of(const Blosc&, std::size_t content_bytes) {
  return blosc::frame_bound(content_bytes);
}

std::size_t compress(const Blosc& codec, std::span<const std::byte> content,
                     std::span<std::byte> to) {
  const blosc::Options options{codec.compressor, codec.level, codec.shuffle, codec.typesize,
                               codec.blocksize};
  return blosc::encode(content, options, to);
}

std::size_t decompress(const Blosc&, std::span<const std::byte> stream, std::span<std::byte> to) {
  const blosc::Header header = blosc::decode_header(stream);
  if (header.content_bytes > to.size()) {
    fail_too_large("blosc", to.size(), fmt::format("{} bytes", header.content_bytes));
  }
  blosc::decode(stream, to.first(header.content_bytes));
  return header.content_bytes;
}

}  // namespace cairn::zarr::internal
