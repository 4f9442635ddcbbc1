#pragma once
// zarr arrays: their metadata (v3 `zarr.json`, v2 `.zarray`, with the bytes and keys that
// TensorStore writes) and the stored form of their chunks.
// Sources: zarr v2 specification; zarr v3 core specification and codecs; TensorStore's driver/zarr
// and driver/zarr3; numcodecs for v2's compressors.

#include <cairn/codecs/array.h>
#include <cairn/codecs/blosc.h>
#include <cairn/codecs/dtype.h>
#include <cairn/export.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::zarr {

struct Codec;
/// In the order of encoding: any transposes, then `Bytes` or `Sharding` (nothing may follow that),
/// then any compressors and checksums.
using CodecChain = std::vector<Codec>;

/// Elements as bytes.
struct Bytes {
  bool big_endian = false;  ///< read; written false
  friend bool operator==(const Bytes&, const Bytes&) = default;
};
/// Dimension i of the encoded chunk is dimension order[i] of the chunk. v2's order "F" is the one
/// that reverses all.
struct Transpose {
  std::vector<std::size_t> order;
  friend bool operator==(const Transpose&, const Transpose&) = default;
};
/// A compressor, with the settings that its metadata has.
struct Zstd {
  int level = 1;
  bool checksum = false;  ///< v3 only
  friend bool operator==(const Zstd&, const Zstd&) = default;
};
/// Another: gzip, or zlib.
struct Gzip {
  int level = 5;
  bool zlib = false;  ///< v2's "zlib": RFC 1950 around the stream instead of RFC 1952
  friend bool operator==(const Gzip&, const Gzip&) = default;
};
/// v2 only.
struct Bz2 {
  int level = 1;
  friend bool operator==(const Bz2&, const Bz2&) = default;
};
/// A Blosc frame (codecs/blosc.h).
struct Blosc {
  blosc::Compressor compressor = blosc::Compressor::zstd;
  int level = 5;
  blosc::Shuffle shuffle = blosc::Shuffle::byte;
  std::size_t typesize = 1;
  std::size_t blocksize = 0;  ///< 0: the encoder's choice
  friend bool operator==(const Blosc&, const Blosc&) = default;
};
/// The checksum of what comes before, at its end.
struct Crc32c {
  friend bool operator==(const Crc32c&, const Crc32c&) = default;
};
/// The chunk is a grid of inner chunks, each encoded by `codecs`, and an index of where they lie.
struct Sharding {
  Shape chunk_shape;  ///< of the inner chunks; divides the outer chunk
  CodecChain codecs;
  CodecChain index_codecs;  ///< of fixed size: Bytes and Crc32c
  bool index_at_start = false;
  friend CAIRN_EXPORT bool operator==(const Sharding&, const Sharding&);
};
/// One codec of a chain.
struct CAIRN_EXPORT Codec {
  using Value = std::variant<Bytes, Transpose, Zstd, Gzip, Bz2, Blosc, Crc32c, Sharding>;
  /// `v` is one of the above.
  template <class T>
  requires std::constructible_from<Value, T> Codec(T v)
      : value(std::move(v)) {}  // NOLINT(google-explicit-constructor)
  // Not inline: g++ 12 warns of the alternatives that a variant does not hold.
  Codec(const Codec&);
  Codec(Codec&&) noexcept;
  Codec& operator=(const Codec&);
  Codec& operator=(Codec&&) noexcept;
  ~Codec();
  Value value;
  friend bool operator==(const Codec&, const Codec&) = default;
};

/// The name in zarr's metadata: "bytes", "transpose", "zstd", "gzip" or "zlib", "bz2", "blosc",
/// "crc32c", "sharding_indexed".
[[nodiscard]] CAIRN_EXPORT std::string_view name_of(const Codec& codec) noexcept;

/// Versions of zarr.
enum class Format : std::uint8_t { v2, v3 };

/// What zarr.json or .zarray says of an array.
struct ArrayMetadata {
  Format format = Format::v3;
  DType dtype = DType::float32;
  Shape shape;
  Shape chunk_shape;  ///< rank of shape, every extent >= 1
  CodecChain codecs;
  std::vector<std::byte> fill_value;  ///< one element, little-endian; zero when empty
  /// The v3 chunk key encoding "v2" ("0.1") instead of "default" ("c/0/1"); always so in format v2.
  bool v2_keys = false;
  char key_separator = '/';
  friend bool operator==(const ArrayMetadata&, const ArrayMetadata&) = default;
};

/// The text of zarr.json or .zarray. Throws std::invalid_argument on metadata that breaks the rules
/// above or that the format cannot express.
[[nodiscard]] CAIRN_EXPORT std::string encode_metadata(const ArrayMetadata& metadata);
/// Both throw FormatError that names the member; an unknown codec or member of zarr.json is one
/// (unless the member is an object with "must_understand": false). Unknown members of .zarray are
/// passed over, as its specification asks.
[[nodiscard]] CAIRN_EXPORT ArrayMetadata decode_metadata(std::string_view zarr_json);
/// The same of .zarray.
[[nodiscard]] CAIRN_EXPORT ArrayMetadata decode_v2_metadata(std::string_view zarray);

/// "zarr.json" or ".zarray".
[[nodiscard]] CAIRN_EXPORT std::string_view metadata_file(Format format) noexcept;
/// Chunks per dimension: ceil(shape / chunk_shape).
[[nodiscard]] CAIRN_EXPORT Shape grid_shape(const ArrayMetadata& metadata);
/// "c/0/1", "0.1", ...; rank 0 -> "c" or "0".
[[nodiscard]] CAIRN_EXPORT std::string chunk_key(const ArrayMetadata& metadata,
                                                 std::span<const Index> grid_index);

/// Bytes of a stored chunk (edge chunks are padded to full size) where the chain fixes them: no
/// compressor and no sharding.
[[nodiscard]] CAIRN_EXPORT std::optional<std::size_t> fixed_chunk_size(
    const ArrayMetadata& metadata);
/// What encode_chunk() writes at most.
[[nodiscard]] CAIRN_EXPORT std::size_t chunk_size_bound(const ArrayMetadata& metadata);

/// What a byte of a stored chunk decodes to at most, in bytes: the formats' own limits, 1 without a
/// compressor. None with shards, whose cells may be left out.
[[nodiscard]] CAIRN_EXPORT std::optional<std::uint64_t> max_expansion(
    const ArrayMetadata& metadata);

/// Whether the chain has a crc32c that covers all stored bytes of a chunk.
[[nodiscard]] CAIRN_EXPORT bool has_checksum(const ArrayMetadata& metadata) noexcept;

/// `elements`: the whole chunk, dense C order, little-endian (as in memory). Returns the bytes
/// written to `to`, which has room for chunk_size_bound(). Thread-safe; contexts are kept per
/// thread.
[[nodiscard]] CAIRN_EXPORT std::size_t encode_chunk(const ArrayMetadata& metadata,
                                                    std::span<const std::byte> elements,
                                                    std::span<std::byte> to);
/// The inverse, except that int2 and int4 come sign-extended whatever bits the writer left above
/// them; `elements` has byte_count(dtype, chunk_shape) bytes, all of which are written;
/// inner chunks that a shard does not have become the fill value. Throws FormatError with the
/// codec's place in the chain ("codecs[1] blosc: cbytes") on anything that does not follow the
/// format or decodes to more or fewer bytes; memory beyond `elements` is bounded by a small
/// multiple of the chunk's size.
CAIRN_EXPORT void decode_chunk(const ArrayMetadata& metadata, std::span<const std::byte> stored,
                               std::span<std::byte> elements);
/// Checks crc32c and every codec's own framing without giving the elements (what `verify` does for
/// a chunk that it need not decode). Throws as decode_chunk().
CAIRN_EXPORT void check_chunk(const ArrayMetadata& metadata, std::span<const std::byte> stored);

// ---- partial reads of sharded chunks -----------------------------------------------------------

/// A range of the stored bytes of a chunk.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};
/// Where the inner chunks of a shard lie, C order over the inner grid; none: absent, the fill
/// value.
struct ShardIndex {
  std::vector<std::optional<ByteRange>> cells;
};
/// Whether its chunks are shards: the chain has a Sharding.
[[nodiscard]] CAIRN_EXPORT bool is_sharded(const ArrayMetadata& metadata) noexcept;
/// A shard as an array of its own: shape is the outer chunk's, chunk_shape and codecs the inner
/// ones.
[[nodiscard]] CAIRN_EXPORT ArrayMetadata inner_array(const ArrayMetadata& metadata);
/// Where the index lies in a shard of `stored_bytes`. Throws FormatError when it does not fit.
[[nodiscard]] CAIRN_EXPORT ByteRange shard_index_range(const ArrayMetadata& metadata,
                                                       std::uint64_t stored_bytes);
/// Throws FormatError on a checksum, or on a cell beyond `stored_bytes`.
[[nodiscard]] CAIRN_EXPORT ShardIndex decode_shard_index(const ArrayMetadata& metadata,
                                                         std::span<const std::byte> index,
                                                         std::uint64_t stored_bytes);

/// A chunk shape for an array: `target_bytes` at most (and at least half, if the array is that
/// large), splitting leading axes first, balanced so that padding stays under 1 % where the shape
/// allows it. Every extent >= 1; an empty axis gives 1; rank 0 gives an empty shape.
[[nodiscard]] CAIRN_EXPORT Shape choose_chunk_shape(DType dtype, std::span<const Index> shape,
                                                    std::size_t target_bytes);

}  // namespace cairn::zarr
