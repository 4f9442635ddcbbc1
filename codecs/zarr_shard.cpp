// Shards: cells, each a chunk of its own, and the index that says where they lie.

#include <cairn/codecs/internal/zarr_chunk.h>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

namespace cairn::zarr {
namespace internal {
namespace {

/// Offset and length of a cell that the shard does not have.
constexpr std::uint64_t kAbsent = std::numeric_limits<std::uint64_t>::max();

// Walks over the cells of a shard in C order.
class Cells {
 public:
  Cells(const Sharding& sharding, const ChunkType& type)
      : grid_(cell_grid(sharding, type.shape)),
        cell_shape_(sharding.chunk_shape),
        strides_(c_strides(type.dtype, type.shape)),
        origin_(grid_.size(), 0),
        count_(static_cast<std::size_t>(element_count(grid_))),
        cell_bytes_(byte_count(type.dtype, cell_shape_)),
        dense_(lies_dense(type)) {}

  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t cell_bytes() const { return cell_bytes_; }
  /// A cell is one run of the shard's elements.
  [[nodiscard]] bool dense() const { return dense_; }
  [[nodiscard]] const Shape& origin() const { return origin_; }
  [[nodiscard]] const std::vector<Index>& strides() const { return strides_; }
  /// Bytes from the shard's first element to the cell's.
  [[nodiscard]] std::size_t offset() const {
    Index offset = 0;
    for (std::size_t i = 0; i < origin_.size(); ++i) offset += origin_[i] * strides_[i];
    return static_cast<std::size_t>(offset);
  }
  void next() {
    for (std::size_t i = grid_.size(); i-- > 0;) {
      origin_[i] += cell_shape_[i];
      if (origin_[i] < grid_[i] * cell_shape_[i]) return;
      origin_[i] = 0;
    }
  }

 private:
  // So when all axes after the first that has more than one element in the cell are whole.
  [[nodiscard]] bool lies_dense(const ChunkType& type) const {
    std::size_t i = 0;
    while (i < grid_.size() && cell_shape_[i] == 1) ++i;
    for (++i; i < grid_.size(); ++i) {
      if (cell_shape_[i] != type.shape[i]) return false;
    }
    return true;
  }

  Shape grid_;
  Shape cell_shape_;
  std::vector<Index> strides_;
  Shape origin_;
  std::size_t count_;
  std::size_t cell_bytes_;
  bool dense_;
};

// Few large copies: a shard may lack most of its cells.
void fill(std::span<std::byte> elements, std::span<const std::byte> value) {
  if (value.empty()) {
    std::fill(elements.begin(), elements.end(), std::byte{0});
    return;
  }
  std::memcpy(elements.data(), value.data(), value.size());
  // Doubling what is there already.
  for (std::size_t done = value.size(); done < elements.size();) {
    const std::size_t more = std::min(done, elements.size() - done);
    std::memcpy(elements.data() + done, elements.data(), more);
    done += more;
  }
}

bool index_is_big_endian(const Sharding& sharding) {
  return std::get<Bytes>(sharding.index_codecs.front().value).big_endian;
}

ByteRange index_range(const Sharding& sharding, std::size_t cells, std::uint64_t stored_bytes,
                      const Place* place) {
  const std::uint64_t length = index_bytes(sharding, cells);
  if (stored_bytes < length) {
    fail_chunk(place, "shard index", fmt::format("a shard of {} bytes", stored_bytes),
               fmt::format("at least {}, the index of {} inner chunks", length, cells));
  }
  return {sharding.index_at_start ? 0 : stored_bytes - length, length};
}

ShardIndex decode_index(const Sharding& sharding, std::size_t cells,
                        std::span<const std::byte> index, std::uint64_t stored_bytes,
                        const Place* place) {
  if (index.size() != index_bytes(sharding, cells)) {
    fail_chunk(place, "shard index", fmt::format("{} bytes", index.size()),
               fmt::format("{} for {} inner chunks", index_bytes(sharding, cells), cells));
  }
  for (std::size_t i = sharding.index_codecs.size(); i-- > 1;) {
    index = checked_content(index, "shard index: crc32c", place);
  }
  const bool swap = index_is_big_endian(sharding);
  ShardIndex result;
  result.cells.resize(cells);
  for (std::size_t i = 0; i < cells; ++i) {
    std::uint64_t entry[2];
    std::memcpy(entry, index.data() + i * kIndexEntryBytes, kIndexEntryBytes);
    if (swap) {
      for (std::uint64_t& number : entry) number = __builtin_bswap64(number);
    }
    const auto [offset, length] = entry;
    if (offset == kAbsent && length == kAbsent) continue;
    // Any order, gaps and even shared bytes are sound; what lies outside the shard is not.
    if (offset > stored_bytes || length > stored_bytes - offset) {
      fail_chunk(place, fmt::format("shard index: cell {}", i),
                 fmt::format("{} bytes at offset {}", length, offset),
                 fmt::format("a range within the shard's {} bytes", stored_bytes));
    }
    result.cells[i] = ByteRange{offset, length};
  }
  return result;
}

void encode_index(const Sharding& sharding, const ShardIndex& index, std::span<std::byte> to) {
  std::size_t size = 0;
  for (const auto& cell : index.cells) {
    std::uint64_t entry[2] = {cell ? cell->offset : kAbsent, cell ? cell->length : kAbsent};
    if (index_is_big_endian(sharding)) {
      for (std::uint64_t& number : entry) number = __builtin_bswap64(number);
    }
    std::memcpy(to.data() + size, entry, kIndexEntryBytes);
    size += kIndexEntryBytes;
  }
  for (std::size_t i = 1; i < sharding.index_codecs.size(); ++i) size = append_checksum(to, size);
  assert(size == to.size());
}

ShardIndex index_of(const Sharding& sharding, std::size_t cells, std::span<const std::byte> stored,
                    const Place* place) {
  const ByteRange range = index_range(sharding, cells, stored.size(), place);
  return decode_index(sharding, cells, stored.subspan(range.offset, range.length), stored.size(),
                      place);
}

const Sharding& sharding_of(const ArrayMetadata& metadata) {
  if (!is_sharded(metadata)) throw std::invalid_argument("zarr: the array has no shards");
  require_sound(metadata);
  return std::get<Sharding>(metadata.codecs.front().value);
}

std::size_t cell_count(const Sharding& sharding, const ArrayMetadata& metadata) {
  return static_cast<std::size_t>(element_count(cell_grid(sharding, metadata.chunk_shape)));
}

}  // namespace

std::size_t encode_shard(const Sharding& sharding, const ChunkType& type,
                         std::span<const std::byte> elements, std::span<std::byte> to) {
  Cells cells(sharding, type);
  const std::size_t index_size = index_bytes(sharding, cells.count());
  std::size_t size = sharding.index_at_start ? index_size : 0;
  ShardIndex index;
  index.cells.reserve(cells.count());
  std::unique_ptr<std::byte[]> gathered;
  if (!cells.dense()) gathered = std::make_unique_for_overwrite<std::byte[]>(cells.cell_bytes());
  const ArrayView shard(type.dtype, Shape(type.shape.begin(), type.shape.end()), elements.data());
  const ChunkType cell_type{type.dtype, sharding.chunk_shape, type.fill_value};
  for (std::size_t i = 0; i < cells.count(); ++i, cells.next()) {
    std::span<const std::byte> cell;
    if (cells.dense()) {
      cell = elements.subspan(cells.offset(), cells.cell_bytes());
    } else {
      copy_region(shard, cells.origin(), sharding.chunk_shape, gathered.get());
      cell = {gathered.get(), cells.cell_bytes()};
    }
    // A cell is written even where it equals the fill value: Orbax's readers take a missing one for
    // damage.
    const std::size_t length = encode_chain(sharding.codecs, cell_type, cell, to.subspan(size));
    index.cells.push_back(ByteRange{size, length});
    size += length;
  }
  const std::size_t index_at = sharding.index_at_start ? 0 : size;
  encode_index(sharding, index, to.subspan(index_at, index_size));
  return sharding.index_at_start ? size : size + index_size;
}

void decode_shard(const Sharding& sharding, const ChunkType& type,
                  std::span<const std::byte> stored, std::span<std::byte> elements,
                  const Place* place) {
  Cells cells(sharding, type);
  const ShardIndex index = index_of(sharding, cells.count(), stored, place);
  std::unique_ptr<std::byte[]> scattered;
  if (!cells.dense()) scattered = std::make_unique_for_overwrite<std::byte[]>(cells.cell_bytes());
  const ChunkType cell_type{type.dtype, sharding.chunk_shape, type.fill_value};
  for (std::size_t i = 0; i < cells.count(); ++i, cells.next()) {
    const std::span<std::byte> cell =
        cells.dense() ? elements.subspan(cells.offset(), cells.cell_bytes())
                      : std::span<std::byte>(scattered.get(), cells.cell_bytes());
    if (const auto& range = index.cells[i]) {
      const Place inner{place, i};
      decode_chain(sharding.codecs, cell_type, stored.subspan(range->offset, range->length), cell,
                   &inner);
    } else {
      fill(cell, type.fill_value);
    }
    if (!cells.dense()) {
      scatter_region(cell.data(), type.dtype, sharding.chunk_shape,
                     elements.data() + cells.offset(), cells.strides());
    }
  }
}

void check_shard(const Sharding& sharding, const ChunkType& type, std::span<const std::byte> stored,
                 const Place* place) {
  const auto cells = static_cast<std::size_t>(element_count(cell_grid(sharding, type.shape)));
  const ShardIndex index = index_of(sharding, cells, stored, place);
  const ChunkType cell_type{type.dtype, sharding.chunk_shape, type.fill_value};
  for (std::size_t i = 0; i < cells; ++i) {
    const auto& range = index.cells[i];
    if (!range) continue;
    const Place inner{place, i};
    check_chain(sharding.codecs, cell_type, stored.subspan(range->offset, range->length), &inner);
  }
}

}  // namespace internal

ByteRange shard_index_range(const ArrayMetadata& metadata, std::uint64_t stored_bytes) {
  const Sharding& sharding = internal::sharding_of(metadata);
  return internal::index_range(sharding, internal::cell_count(sharding, metadata), stored_bytes,
                               nullptr);
}

ShardIndex decode_shard_index(const ArrayMetadata& metadata, std::span<const std::byte> index,
                              std::uint64_t stored_bytes) {
  const Sharding& sharding = internal::sharding_of(metadata);
  return internal::decode_index(sharding, internal::cell_count(sharding, metadata), index,
                                stored_bytes, nullptr);
}

}  // namespace cairn::zarr
