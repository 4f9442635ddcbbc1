#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/zarr_codecs.h>
#include <fmt/format.h>

#include <cassert>
#include <concepts>
#include <stdexcept>

namespace cairn::zarr::internal {
namespace {

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
