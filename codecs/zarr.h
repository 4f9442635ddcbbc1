#pragma once
// zarr v3 array metadata, with the bytes and keys that TensorStore writes (compact JSON, keys in
// alphabetical order). Source: zarr v3 core specification; TensorStore's driver/zarr3.

#include <cairn/codecs/array.h>
#include <cairn/codecs/dtype.h>
#include <cairn/export.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::zarr {

/// One codec of the chain, in the order of encoding. This release writes and reads `bytes` and
/// `crc32c`.
enum class Codec : std::uint8_t { bytes, crc32c };

struct ArrayMetadata {
  DType dtype = DType::float32;
  Shape shape;
  Shape chunk_shape;                  ///< rank of shape, every extent >= 1
  std::vector<Codec> codecs;          ///< bytes first
  bool big_endian = false;            ///< of the bytes codec; written false
  std::vector<std::byte> fill_value;  ///< one element, little-endian; zero when empty
  char key_separator = '/';           ///< of the default chunk key encoding
  friend bool operator==(const ArrayMetadata&, const ArrayMetadata&) = default;
};

/// The text of zarr.json. Throws std::invalid_argument on metadata that breaks the rules above.
[[nodiscard]] CAIRN_EXPORT std::string encode_metadata(const ArrayMetadata& metadata);
/// Throws FormatError that names the member; an unknown codec or member is one (unless the member
/// is an object with "must_understand": false).
[[nodiscard]] CAIRN_EXPORT ArrayMetadata decode_metadata(std::string_view json);

/// Chunks per dimension: ceil(shape / chunk_shape).
[[nodiscard]] CAIRN_EXPORT Shape grid_shape(const ArrayMetadata& metadata);
/// "c/0/1"; rank 0 -> "c".
[[nodiscard]] CAIRN_EXPORT std::string chunk_key(const ArrayMetadata& metadata,
                                                 std::span<const Index> grid_index);
/// Bytes of one stored chunk (always full size, edge chunks are padded) with the codecs' overhead.
[[nodiscard]] CAIRN_EXPORT std::size_t stored_chunk_size(const ArrayMetadata& metadata);

/// A chunk shape for an array: `target_bytes` at most (and at least half, if the array is that
/// large), splitting leading axes first, balanced so that padding stays under 1 % where the shape
/// allows it. Every extent >= 1; an empty axis gives 1; rank 0 gives an empty shape.
[[nodiscard]] CAIRN_EXPORT Shape choose_chunk_shape(DType dtype, std::span<const Index> shape,
                                                    std::size_t target_bytes);

}  // namespace cairn::zarr
