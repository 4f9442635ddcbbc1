#pragma once
// Compressors of chunks, each with contexts that a thread reuses. All functions are pure.

#include <cairn/codecs/zarr.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace cairn::zarr::internal {

/// Bytes of `content_bytes` after compression at most. Throws std::invalid_argument where that is
/// beyond 64 bits. `codec` is a compressor in the functions of this file that take one.
[[nodiscard]] std::size_t compressed_bound(const Codec& codec, std::size_t content_bytes);
/// Bytes that a byte of a stream decodes to at most.
[[nodiscard]] std::uint64_t max_expansion(const Codec& codec);
/// Returns the bytes written to `to`, which has room for compressed_bound().
[[nodiscard]] std::size_t compress(const Codec& codec, std::span<const std::byte> content,
                                   std::span<std::byte> to);
/// Returns the bytes written to `to`. All of `stream` is read. Throws FormatError on damage and on
/// content that has no room in `to`; what it allocates does not depend on what the stream claims.
[[nodiscard]] std::size_t decompress(const Codec& codec, std::span<const std::byte> stream,
                                     std::span<std::byte> to);

// ---- one of each kind ----

[[nodiscard]] std::size_t bound_of(const Zstd& codec, std::size_t content_bytes);
[[nodiscard]] std::size_t compress(const Zstd& codec, std::span<const std::byte> content,
                                   std::span<std::byte> to);
/// One frame or several, with or without content sizes; frames that are to be skipped are.
[[nodiscard]] std::size_t decompress(const Zstd& codec, std::span<const std::byte> stream,
                                     std::span<std::byte> to);

[[nodiscard]] std::size_t bound_of(const Gzip& codec, std::size_t content_bytes);
[[nodiscard]] std::size_t compress(const Gzip& codec, std::span<const std::byte> content,
                                   std::span<std::byte> to);
/// One member or several; of zlib, one stream.
[[nodiscard]] std::size_t decompress(const Gzip& codec, std::span<const std::byte> stream,
                                     std::span<std::byte> to);

[[nodiscard]] std::size_t bound_of(const Bz2& codec, std::size_t content_bytes);
[[nodiscard]] std::size_t compress(const Bz2& codec, std::span<const std::byte> content,
                                   std::span<std::byte> to);
/// One stream or several.
[[nodiscard]] std::size_t decompress(const Bz2& codec, std::span<const std::byte> stream,
                                     std::span<std::byte> to);

[[nodiscard]] std::size_t bound_of(const Blosc& codec, std::size_t content_bytes);
[[nodiscard]] std::size_t compress(const Blosc& codec, std::span<const std::byte> content,
                                   std::span<std::byte> to);
[[nodiscard]] std::size_t decompress(const Blosc& codec, std::span<const std::byte> stream,
                                     std::span<std::byte> to);

/// Throws: `structure` decodes to more than the `room` that the chunk has. `declared`: what the
/// stream says of its content, if it says so.
[[noreturn]] void fail_too_large(std::string_view structure, std::size_t room,
                                 std::string declared = "");

}  // namespace cairn::zarr::internal
