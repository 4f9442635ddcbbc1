#pragma once
// The arrays of tests/data/zarr/chunks.txt, and arrays out of chunks.

#include <cairn/codecs/zarr.h>
#include <codecs/test_data.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace cairn::zarr {

using Bytestring = std::vector<std::byte>;

inline Bytestring bytes_from_hex(const std::string& hex) {
  const std::string text = from_hex(hex);
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

/// What a peer stored.
struct StoredArray {
  std::string name, text;
  ArrayMetadata metadata;
  Bytestring elements;  ///< of the whole array, C order
  std::map<std::string, Bytestring> chunks;
};

inline std::vector<StoredArray> stored_arrays() {
  std::vector<StoredArray> arrays;
  for (auto row : read_test_table("zarr/chunks.txt")) {
    if (row.size() < 3) row.resize(3);
    StoredArray array{row[0], row[1], {}, bytes_from_hex(row[2]), {}};
    const bool v2 = array.text.find("\"zarr_format\":2") != std::string::npos;
    array.metadata = v2 ? decode_v2_metadata(array.text) : decode_metadata(array.text);
    for (std::size_t i = 3; i + 1 < row.size(); i += 2) {
      array.chunks[row[i]] = bytes_from_hex(row[i + 1]);
    }
    arrays.push_back(std::move(array));
  }
  return arrays;
}

inline Bytestring repeated(const Bytestring& element, std::size_t bytes) {
  Bytestring result(bytes);
  for (std::size_t i = 0; i < bytes && !element.empty(); ++i)
    result[i] = element[i % element.size()];
  return result;
}

/// Calls `visit(grid index, origin, part)` for every chunk; `part` is the shape of what lies in the
/// array.
template <class Visit>
void for_each_chunk(const ArrayMetadata& metadata, const Visit& visit) {
  const Shape grid = grid_shape(metadata);
  Shape index(grid.size(), 0);
  for (Index left = element_count(grid); left > 0; --left) {
    Shape origin(grid.size());
    Shape part(grid.size());
    for (std::size_t i = 0; i < grid.size(); ++i) {
      origin[i] = index[i] * metadata.chunk_shape[i];
      part[i] = std::min(metadata.chunk_shape[i], metadata.shape[i] - origin[i]);
    }
    visit(index, origin, part);
    for (std::size_t i = grid.size(); i-- > 0;) {
      if (++index[i] < grid[i]) break;
      index[i] = 0;
    }
  }
}

/// Copies the part of a chunk's elements that lies in the array to the array's.
inline void put_chunk(const ArrayMetadata& metadata, const Bytestring& chunk, const Shape& origin,
                      const Shape& part, Bytestring& array) {
  const auto strides = c_strides(metadata.dtype, metadata.shape);
  Index offset = 0;
  for (std::size_t i = 0; i < origin.size(); ++i) offset += origin[i] * strides[i];
  Bytestring dense(byte_count(metadata.dtype, part));
  copy_region(ArrayView(metadata.dtype, metadata.chunk_shape, chunk.data()), Shape(part.size(), 0),
              part, dense.data());
  scatter_region(dense.data(), metadata.dtype, part, array.data() + offset, strides);
}

inline Bytestring decode(const ArrayMetadata& metadata, std::span<const std::byte> stored) {
  Bytestring elements(byte_count(metadata.dtype, metadata.chunk_shape), std::byte{0xA5});
  decode_chunk(metadata, stored, elements);
  return elements;
}

inline Bytestring encode(const ArrayMetadata& metadata, std::span<const std::byte> elements) {
  Bytestring stored(chunk_size_bound(metadata));
  stored.resize(encode_chunk(metadata, elements, stored));
  return stored;
}

}  // namespace cairn::zarr
