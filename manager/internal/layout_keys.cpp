// Chunks as boxes, and the keys under which they are stored.

#include <cairn/manager/internal/layout.h>

#include <cstring>

namespace cairn::internal {

ArrayView elements_of(const Tree& node, std::byte* scalar) {
  auto store = [&](DType dtype, const auto& value) {
    std::memcpy(scalar, &value, sizeof(value));
    return ArrayView(dtype, Shape(), scalar);
  };
  const Tree::Value& value = node.value();
  if (auto view = view_of(node)) return *view;
  if (const auto* v = std::get_if<bool>(&value))
    return store(DType::boolean, static_cast<std::uint8_t>(*v));
  if (const auto* v = std::get_if<std::int64_t>(&value)) return store(DType::int64, *v);
  if (const auto* v = std::get_if<std::uint64_t>(&value)) return store(DType::uint64, *v);
  return store(DType::float64, std::get<double>(value));
}

Shape grid_index(const Shape& grid, std::uint64_t chunk) {
  Shape index(grid.size());
  for (std::size_t d = grid.size(); d-- > 0;) {
    const auto extent = static_cast<std::uint64_t>(grid[d]);
    index[d] = static_cast<Index>(chunk % extent);
    chunk /= extent;
  }
  return index;
}

IndexRange chunk_range(const zarr::ArrayMetadata& metadata, const Shape& grid,
                       std::uint64_t chunk) {
  IndexRange range{grid_index(grid, chunk), Shape(grid.size())};
  for (std::size_t d = 0; d < grid.size(); ++d) {
    range.origin[d] *= metadata.chunk_shape[d];
    range.shape[d] = std::min(metadata.chunk_shape[d], metadata.shape[d] - range.origin[d]);
  }
  return range;
}

std::uint64_t element_bytes_of(const ItemLayout& layout, const ChunkPlace& place) {
  const ArrayLayout& array = layout.array_of(place);
  const zarr::ArrayMetadata& metadata = array.metadata;
  if (array.chunks == 1) return byte_count(metadata.dtype, metadata.shape);
  return byte_count(metadata.dtype, chunk_range(array, place.chunk).shape);
}

std::string metadata_key(const std::string& name, Layout layout) {
  const auto format = uses_zarr3(layout) ? zarr::Format::v3 : zarr::Format::v2;
  const std::string file(zarr::metadata_file(format));
  return name.empty() ? file : name + "/" + file;
}

std::string chunk_entry_key(const std::string& name, const ArrayLayout& array,
                            std::uint64_t chunk) {
  const std::string key = zarr::chunk_key(array.metadata, grid_index(array.grid, chunk));
  return name.empty() ? key : name + "/" + key;
}

}  // namespace cairn::internal
