// Stored chunks of any codec chain, shards among them: what decodes writes every byte, passes
// check_chunk(), can be encoded again and reads the same; a shard read cell by cell is the shard.

#include <cairn/codecs/zarr.h>
#include <fuzz/blosc_inputs.h>
#include <fuzz/zarr_inputs.h>

namespace cairn::fuzz {
namespace {

using namespace zarr;  // NOLINT(google-build-using-namespace): all of this is zarr

std::optional<std::string> elements_of(const ArrayMetadata& metadata, std::string_view stored,
                                       char before) {
  std::string elements(*chunk_bytes(metadata), before);
  const auto done = decoded(chunk_memory(metadata, stored.size()), [&] {
    decode_chunk(metadata, bytes_of(stored), writable_bytes_of(elements));
    return true;
  });
  if (!done) return std::nullopt;
  return elements;
}

bool passes_check(const ArrayMetadata& metadata, std::string_view stored) {
  return decoded(chunk_memory(metadata, stored.size()),
                 [&] {
                   check_chunk(metadata, bytes_of(stored));
                   return true;
                 })
      .has_value();
}

// Decodes a shard by its index alone, as a partial read does.
std::optional<std::string> cell_by_cell(const ArrayMetadata& metadata, std::string_view stored) {
  const auto inner = inner_array(metadata);
  const auto grid = grid_shape(inner);
  std::optional<ShardIndex> index;
  index = decoded(chunk_memory(metadata, stored.size()), [&] {
    const auto range = shard_index_range(metadata, stored.size());
    return decode_shard_index(metadata,
                              bytes_of(stored).subspan(static_cast<std::size_t>(range.offset),
                                                       static_cast<std::size_t>(range.length)),
                              stored.size());
  });
  if (!index) return std::nullopt;
  require(static_cast<Index>(index->cells.size()) == element_count(grid), "an index has all cells");
  std::string elements(*chunk_bytes(metadata), '\0');
  const auto strides = c_strides(metadata.dtype, metadata.chunk_shape);
  Shape at(grid.size(), 0);
  for (const auto& cell : index->cells) {
    std::string part(byte_count(inner.dtype, inner.chunk_shape), '\0');
    if (cell) {
      const auto bytes = stored.substr(static_cast<std::size_t>(cell->offset),
                                       static_cast<std::size_t>(cell->length));
      const auto content = elements_of(inner, bytes, '\x33');
      if (!content) return std::nullopt;
      part = *content;
    } else if (!metadata.fill_value.empty()) {
      const auto* fill = reinterpret_cast<const char*>(metadata.fill_value.data());
      for (std::size_t i = 0; i < part.size(); ++i) part[i] = fill[i % metadata.fill_value.size()];
    }
    Index offset = 0;
    for (std::size_t i = 0; i < at.size(); ++i) offset += at[i] * inner.chunk_shape[i] * strides[i];
    scatter_region(bytes_of(part).data(), inner.dtype, inner.chunk_shape,
                   writable_bytes_of(elements).data() + offset, strides);
    for (std::size_t i = grid.size(); i-- > 0;) {
      if (++at[i] < grid[i]) break;
      at[i] = 0;
    }
  }
  return elements;
}

void check(std::string_view input) {
  const auto [text, stored] = split(input);
  const auto metadata = decoded_metadata(text);
  if (!metadata || !chunk_bytes(*metadata)) return;
  const auto elements = elements_of(*metadata, stored, '\x55');
  const bool sound = passes_check(*metadata, stored);
  if (is_sharded(*metadata)) {
    require(cell_by_cell(*metadata, stored) == elements, "a shard is its cells");
  }
  if (!elements) return;
  require(sound, "a chunk that decodes passes the check");
  require(elements == elements_of(*metadata, stored, '\xAA'), "all of it is written");
  const auto again = encoded_chunk(*metadata, *elements);
  require(elements_of(*metadata, again, '\0') == elements, "a chunk reads back as it was");
  require(passes_check(*metadata, again), "a chunk that was written passes the check");
}

const Registration registration({"zarr_chunk", check, mutate_chunk, golden_chunks});

}  // namespace
}  // namespace cairn::fuzz
