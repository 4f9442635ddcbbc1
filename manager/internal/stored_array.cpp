#include <cairn/codecs/format_error.h>
#include <cairn/manager/internal/stored_array.h>

#include <algorithm>
#include <cassert>
#include <charconv>

namespace cairn::internal {
namespace {

/// No encoder writes larger ones, and a claim beyond this is not worth an allocation.
constexpr std::uint64_t kChunkBytesMax = std::uint64_t{1} << 40;

/// So that the end of a chunk at the edge can be computed.
constexpr Index kExtentMax = Index{1} << 62;

bool is_verbatim(const zarr::ArrayMetadata& metadata) {
  if (metadata.codecs.empty()) return false;
  const auto* bytes = std::get_if<zarr::Bytes>(&metadata.codecs[0].value);
  if (bytes == nullptr || (bytes->big_endian && size_of(metadata.dtype) > 1)) return false;
  // Decoding gives these their sign.
  if (metadata.dtype == DType::int2 || metadata.dtype == DType::int4) return false;
  return std::all_of(metadata.codecs.begin() + 1, metadata.codecs.end(), [](const auto& codec) {
    return std::holds_alternative<zarr::Crc32c>(codec.value);
  });
}

std::uint64_t checked_count(const zarr::ArrayMetadata& metadata, const Shape& grid) {
  for (const Index extent : metadata.shape) {
    if (extent > kExtentMax)
      throw FormatError("zarr metadata", "shape", std::to_string(extent),
                        "extents of at most 2^62");
  }
  try {
    static_cast<void>(byte_count(metadata.dtype, metadata.shape));
    return static_cast<std::uint64_t>(element_count(grid));
  } catch (const std::invalid_argument& error) {
    throw FormatError("zarr metadata", "shape", error.what(), "at most 2^63 - 1 bytes");
  }
}

std::size_t checked_chunk_bytes(const zarr::ArrayMetadata& metadata) {
  std::size_t bytes = 0;
  try {
    bytes = byte_count(metadata.dtype, metadata.chunk_shape);
  } catch (const std::invalid_argument& error) {
    throw FormatError("zarr metadata", "chunk shape", error.what(), "at most 2^40 bytes");
  }
  if (bytes > kChunkBytesMax) {
    throw FormatError("zarr metadata", "chunk shape", std::to_string(bytes) + " bytes",
                      "at most " + std::to_string(kChunkBytesMax));
  }
  return bytes;
}

/// Reads a decimal number without leading zeros off the front of `text`.
std::optional<Index> take_number(std::string_view& text) {
  Index value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || text[0] == '-' || (text[0] == '0' && digits > 1)) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

}  // namespace

StoredArray::StoredArray(zarr::ArrayMetadata m)
    : metadata(std::move(m)),
      grid(zarr::grid_shape(metadata)),
      chunks(checked_count(metadata, grid)),
      chunk_bytes(checked_chunk_bytes(metadata)),
      stored_bytes(zarr::fixed_chunk_size(metadata)),
      stored_bytes_max(zarr::chunk_size_bound(metadata)),
      expansion(zarr::max_expansion(metadata)),
      verbatim(is_verbatim(metadata)) {
  if (zarr::is_sharded(metadata))
    inner = std::make_shared<const StoredArray>(zarr::inner_array(metadata));
}

IndexRange StoredArray::chunk_box(std::uint64_t chunk) const {
  IndexRange box{index_of(grid, chunk), metadata.chunk_shape};
  for (std::size_t d = 0; d < grid.size(); ++d) box.origin[d] *= metadata.chunk_shape[d];
  return box;
}

std::string StoredArray::chunk_key(std::uint64_t chunk) const {
  return zarr::chunk_key(metadata, index_of(grid, chunk));
}

std::optional<std::uint64_t> StoredArray::chunk_of(std::string_view key) const {
  const bool plain = metadata.v2_keys || metadata.format == zarr::Format::v2;
  if (grid.empty()) {
    return key == (plain ? "0" : "c") ? std::optional<std::uint64_t>(0) : std::nullopt;
  }
  if (!plain) {
    if (key.size() < 2 || key[0] != 'c' || key[1] != metadata.key_separator) return std::nullopt;
    key.remove_prefix(2);
  }
  Shape index(grid.size());
  for (std::size_t d = 0; d < grid.size(); ++d) {
    if (d > 0) {
      if (key.empty() || key[0] != metadata.key_separator) return std::nullopt;
      key.remove_prefix(1);
    }
    const auto number = key.empty() ? std::nullopt : take_number(key);
    // Behind the edge lies what an array had before it was made smaller.
    if (!number || *number >= grid[d]) return std::nullopt;
    index[d] = *number;
  }
  return key.empty() ? std::optional(linear_of(grid, index)) : std::nullopt;
}

bool StoredArray::leads_to_chunks(std::string_view directory) const {
  if (chunks == 0 || grid.empty() || metadata.key_separator != '/') return false;
  if (!metadata.v2_keys && metadata.format != zarr::Format::v2) {
    if (directory == "c") return true;
    if (!directory.starts_with("c/")) return false;
    directory.remove_prefix(2);
  }
  // The last number is the chunk's own file.
  for (std::size_t d = 0; d + 1 < grid.size(); ++d) {
    const auto number = directory.empty() ? std::nullopt : take_number(directory);
    if (!number || *number >= grid[d]) return false;
    if (directory.empty()) return true;
    if (directory[0] != '/') return false;
    directory.remove_prefix(1);
  }
  return false;
}

Shape index_of(const Shape& shape, std::uint64_t linear) {
  Shape index(shape.size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    const auto extent = static_cast<std::uint64_t>(shape[d]);
    index[d] = static_cast<Index>(linear % extent);
    linear /= extent;
  }
  return index;
}

std::uint64_t linear_of(const Shape& shape, std::span<const Index> index) {
  std::uint64_t linear = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    linear = linear * static_cast<std::uint64_t>(shape[d]) + static_cast<std::uint64_t>(index[d]);
  }
  return linear;
}

std::optional<IndexRange> intersection(const IndexRange& a, const IndexRange& b) {
  IndexRange shared{Shape(a.origin.size()), Shape(a.origin.size())};
  for (std::size_t d = 0; d < a.origin.size(); ++d) {
    // Neither sum overflows: extents are at most 2^62, and those of chunks 2^40.
    const Index begin = std::max(a.origin[d], b.origin[d]);
    const Index end = std::min(a.origin[d] + a.shape[d], b.origin[d] + b.shape[d]);
    if (begin >= end) return std::nullopt;
    shared.origin[d] = begin;
    shared.shape[d] = end - begin;
  }
  return shared;
}

IndexRange touched_chunks(const IndexRange& elements, const Shape& chunk_shape) {
  IndexRange box{Shape(chunk_shape.size()), Shape(chunk_shape.size())};
  for (std::size_t d = 0; d < chunk_shape.size(); ++d) {
    assert(elements.shape[d] > 0);
    const Index first = elements.origin[d] / chunk_shape[d];
    const Index last = (elements.origin[d] + elements.shape[d] - 1) / chunk_shape[d];
    box.origin[d] = first;
    box.shape[d] = last - first + 1;
  }
  return box;
}

bool contains(const IndexRange& box, std::span<const Index> index) {
  for (std::size_t d = 0; d < index.size(); ++d) {
    if (index[d] < box.origin[d] || index[d] - box.origin[d] >= box.shape[d]) return false;
  }
  return true;
}

}  // namespace cairn::internal
