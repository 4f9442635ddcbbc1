// What metadata says about chunks: their grid, keys and stored sizes.

#include <cairn/codecs/internal/zarr_chain.h>
#include <cairn/codecs/internal/zarr_codecs.h>
#include <cairn/codecs/zarr.h>

#include <cassert>
#include <limits>
#include <stdexcept>

namespace cairn::zarr {
namespace {

std::size_t checked_sum(std::size_t a, std::size_t b) {
  std::size_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    throw std::invalid_argument("zarr: a chunk of more than 2^64 bytes");
  }
  return sum;
}

// Every step is checked: extents come from files, and a shard may claim 2^30 cells.
std::size_t bound_of(const CodecChain& codecs, DType dtype, std::span<const Index> chunk_shape) {
  const internal::ChainParts parts(codecs);
  std::size_t bytes = 0;
  if (const Sharding* sharding = parts.sharding()) {
    const auto order = internal::permutation_of(parts.transposes, chunk_shape.size());
    const Shape shape = order.empty() ? Shape(chunk_shape.begin(), chunk_shape.end())
                                      : internal::permuted(chunk_shape, order);
    const auto cells =
        static_cast<std::size_t>(element_count(internal::cell_grid(*sharding, shape)));
    const std::size_t inner = bound_of(sharding->codecs, dtype, sharding->chunk_shape);
    if (__builtin_mul_overflow(cells, inner, &bytes)) {
      throw std::invalid_argument("zarr: a shard of more than 2^64 bytes");
    }
    bytes = checked_sum(bytes, internal::index_bytes(*sharding, cells));
  } else {
    bytes = byte_count(dtype, chunk_shape);
  }
  for (const Codec& codec : parts.byte_codecs) {
    bytes = internal::is_checksum(codec) ? checked_sum(bytes, internal::kChecksumBytes)
                                         : internal::compressed_bound(codec, bytes);
  }
  return bytes;
}

// In a shard, what neither a cell nor the index covers is a gap that nobody reads.
bool covers_all(const CodecChain& codecs) noexcept {
  if (codecs.empty()) return false;
  if (internal::is_checksum(codecs.back())) return true;
  const auto* sharding = std::get_if<Sharding>(&codecs.back().value);
  return sharding != nullptr && !sharding->index_codecs.empty() &&
         internal::is_checksum(sharding->index_codecs.back()) && covers_all(sharding->codecs);
}

}  // namespace

Codec::Codec(const Codec&) = default;
Codec::Codec(Codec&&) noexcept = default;
Codec& Codec::operator=(const Codec&) = default;
Codec& Codec::operator=(Codec&&) noexcept = default;
Codec::~Codec() = default;

bool operator==(const Sharding& a, const Sharding& b) {
  return a.chunk_shape == b.chunk_shape && a.codecs == b.codecs &&
         a.index_codecs == b.index_codecs && a.index_at_start == b.index_at_start;
}

std::string_view name_of(const Codec& codec) noexcept {
  struct Namer {
    std::string_view operator()(const Bytes&) const { return "bytes"; }
    std::string_view operator()(const Transpose&) const { return "transpose"; }
    std::string_view operator()(const Zstd&) const { return "zstd"; }
    std::string_view operator()(const Gzip& gzip) const { return gzip.zlib ? "zlib" : "gzip"; }
    std::string_view operator()(const Bz2&) const { return "bz2"; }
    std::string_view operator()(const Blosc&) const { return "blosc"; }
    std::string_view operator()(const Crc32c&) const { return "crc32c"; }
    std::string_view operator()(const Sharding&) const { return "sharding_indexed"; }
  };
  return std::visit(Namer(), codec.value);
}

std::string_view metadata_file(Format format) noexcept {
  return format == Format::v3 ? "zarr.json" : ".zarray";
}

Shape grid_shape(const ArrayMetadata& metadata) {
  assert(metadata.chunk_shape.size() == metadata.shape.size());
  Shape grid(metadata.shape.size());
  for (std::size_t i = 0; i < grid.size(); ++i) {
    const Index chunk = metadata.chunk_shape[i];
    assert(chunk >= 1);
    grid[i] = metadata.shape[i] / chunk + (metadata.shape[i] % chunk != 0 ? 1 : 0);
  }
  return grid;
}

std::string chunk_key(const ArrayMetadata& metadata, std::span<const Index> grid_index) {
  assert(grid_index.size() == metadata.shape.size());
  const bool v2 = metadata.v2_keys || metadata.format == Format::v2;
  if (v2 && grid_index.empty()) return "0";
  std::string key = v2 ? "" : "c";
  for (const Index index : grid_index) {
    if (!key.empty()) key += metadata.key_separator;
    key += std::to_string(index);
  }
  return key;
}

std::optional<std::size_t> fixed_chunk_size(const ArrayMetadata& metadata) {
  internal::require_sound(metadata);
  const internal::ChainParts parts(metadata.codecs);
  if (parts.sharding() != nullptr) return std::nullopt;
  std::size_t bytes = byte_count(metadata.dtype, metadata.chunk_shape);
  for (const Codec& codec : parts.byte_codecs) {
    if (!internal::is_checksum(codec)) return std::nullopt;
    bytes += internal::kChecksumBytes;
  }
  return bytes;
}

std::size_t chunk_size_bound(const ArrayMetadata& metadata) {
  internal::require_sound(metadata);
  return bound_of(metadata.codecs, metadata.dtype, metadata.chunk_shape);
}

std::optional<std::uint64_t> max_expansion(const ArrayMetadata& metadata) {
  internal::require_sound(metadata);
  const internal::ChainParts parts(metadata.codecs);
  if (parts.sharding() != nullptr) return std::nullopt;
  std::uint64_t expansion = 1;
  for (const Codec& codec : parts.byte_codecs) {
    if (internal::is_checksum(codec)) continue;
    if (__builtin_mul_overflow(expansion, internal::max_expansion(codec), &expansion))
      return std::numeric_limits<std::uint64_t>::max();
  }
  return expansion;
}

bool has_checksum(const ArrayMetadata& metadata) noexcept {
  return covers_all(metadata.codecs);
}

// A shard behind a transpose has cells in other coordinates than the array: it is read whole.
bool is_sharded(const ArrayMetadata& metadata) noexcept {
  return metadata.codecs.size() == 1 &&
         std::holds_alternative<Sharding>(metadata.codecs.front().value);
}

ArrayMetadata inner_array(const ArrayMetadata& metadata) {
  if (!is_sharded(metadata)) throw std::invalid_argument("zarr: the array has no shards");
  const auto& sharding = std::get<Sharding>(metadata.codecs.front().value);
  ArrayMetadata inner = metadata;
  inner.shape = metadata.chunk_shape;
  inner.chunk_shape = sharding.chunk_shape;
  inner.codecs = CodecChain(sharding.codecs);
  return inner;
}

}  // namespace cairn::zarr
