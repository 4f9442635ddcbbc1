#include <cairn/codecs/cast.h>
#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_sink.h>

#include <algorithm>
#include <cassert>

namespace cairn::internal {
namespace {

/// The elements of a chunk whose stored bytes begin with them.
std::span<const std::byte> verbatim_elements(const PieceView& piece,
                                             std::span<const std::byte> stored) {
  zarr::check_chunk(piece.array.metadata, stored);
  return stored.first(piece.array.chunk_bytes);
}

/// The memory of a piece's elements where all of its chunk goes into one run of its target, as it
/// is; empty where not.
std::span<std::byte> direct_run(const LoadTarget& to, const PieceView& piece) {
  if (piece.wanted != piece.box || to.dtype != piece.array.metadata.dtype) return {};
  if (!is_run(piece.box.shape, to)) return {};
  return {to.at(piece.leaf.wanted(), piece.wanted), piece.array.chunk_bytes};
}

/// The fill value; zeros where it is empty.
std::vector<std::byte> fill_of(const StoredArray& array) {
  std::vector<std::byte> element(size_of(array.metadata.dtype));
  std::ranges::copy(array.metadata.fill_value, element.begin());
  return element;
}

/// Throws FormatError on a byte that no bool has; what a chunk has beyond its array does not count.
void check_bools(const PieceView& piece, std::span<const std::byte> elements) {
  for_each_run(DType::boolean, piece.wanted, piece.box, elements.data(),
               [&](std::span<const std::byte> run) {
                 const auto found =
                     std::ranges::find_if(run, [](std::byte b) { return b > std::byte{1}; });
                 if (found == run.end()) return;
                 const auto at = static_cast<std::uint64_t>(&*found - elements.data());
                 Shape index = index_of(piece.box.shape, at);
                 for (std::size_t d = 0; d < index.size(); ++d) index[d] += piece.box.origin[d];
                 std::string text;
                 for (const Index i : index) text += (text.empty() ? "" : ", ") + std::to_string(i);
                 throw FormatError("chunk", "element [" + text + "]",
                                   std::to_string(std::to_integer<unsigned>(*found)),
                                   "0 or 1, the bytes of a bool");
               });
}

}  // namespace

void MemoryCheck::add(const StoredLeaf& leaf, std::uint64_t bytes) {
  static const std::uint64_t most = engine::available_memory();
  if (bytes <= most && bytes_ + bytes <= most) {
    bytes_ += bytes;
    return;
  }
  throw index_.leaf_error(leaf, ErrorCode::resource_exhausted,
                          "the array has " + std::to_string(bytes) + " bytes and those before it " +
                              std::to_string(bytes_) +
                              ", more than the memory that this process may have, " +
                              std::to_string(most),
                          index_.folder()->path);
}

std::vector<Array> allocate_arrays(const ReadScope& scope) {
  MemoryCheck memory(scope.index);
  for (const StoredLeaf& leaf : scope.leaves) {
    if (leaf.array) memory.add(leaf, byte_count(leaf.array->metadata.dtype, leaf.wanted().shape));
  }
  std::vector<Array> arrays(scope.leaves.size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const StoredLeaf& leaf = scope.leaves[i];
    if (leaf.array)
      arrays[i] = Array::uninitialized(leaf.array->metadata.dtype, leaf.wanted().shape);
  }
  return arrays;
}

std::size_t LoadSink::scratch_bytes(const PieceView& piece) const {
  const bool direct = !direct_run(target(piece.leaf), piece).empty();
  return piece.array.verbatim || direct ? 0 : piece.array.chunk_bytes;
}

std::span<std::byte> LoadSink::run_of(const PieceView& piece) const {
  return piece.array.verbatim ? direct_run(target(piece.leaf), piece) : std::span<std::byte>();
}

void LoadSink::take(const PieceView& piece, std::span<const std::byte> stored,
                    std::span<std::byte> scratch) {
  const LoadTarget& to = target(piece.leaf);
  const std::span<std::byte> run = direct_run(to, piece);
  if (!run.empty()) {
    zarr::decode_chunk(piece.array.metadata, stored, run);
    return;
  }
  std::span<const std::byte> elements;
  if (piece.array.verbatim) {
    elements = verbatim_elements(piece, stored);
  } else {
    zarr::decode_chunk(piece.array.metadata, stored, scratch.first(piece.array.chunk_bytes));
    elements = scratch;
  }
  const DType dtype = piece.array.metadata.dtype;
  const std::vector<Index> strides = c_strides(dtype, piece.box.shape);
  cast_region(elements.data() + distance(piece.box, piece.wanted, strides), dtype, strides,
              piece.wanted.shape, to.at(piece.leaf.wanted(), piece.wanted), to.dtype, to.strides);
}

void LoadSink::take_absent(const PieceView& piece) {
  const LoadTarget& to = target(piece.leaf);
  fill_region(fill_of(piece.array), piece.array.metadata.dtype, piece.wanted.shape,
              to.at(piece.leaf.wanted(), piece.wanted), to);
}

void LoadSink::begin_incomplete(const StoredLeaf& leaf) {
  const LoadTarget& to = target(leaf);
  fill_region(fill_of(*leaf.array), leaf.array->metadata.dtype, leaf.wanted().shape, to.data, to);
}

std::size_t CheckSink::scratch_bytes(const PieceView& piece) const {
  // A checksum says that the bytes are those that were written, which is enough where the encoder
  // is known; another's may have been sealed over anything.
  const bool sealed = own_ && zarr::has_checksum(piece.array.metadata);
  return piece.array.verbatim || sealed ? 0 : piece.array.chunk_bytes;
}

void CheckSink::take(const PieceView& piece, std::span<const std::byte> stored,
                     std::span<std::byte> scratch) {
  std::span<const std::byte> elements;
  if (piece.array.verbatim) {
    elements = verbatim_elements(piece, stored);
  } else if (scratch_bytes(piece) == 0) {
    zarr::check_chunk(piece.array.metadata, stored);
  } else {
    elements = scratch.first(piece.array.chunk_bytes);
    zarr::decode_chunk(piece.array.metadata, stored, scratch.first(piece.array.chunk_bytes));
  }
  // A save of ours takes whatever bytes there are.
  if (!own_ && piece.array.metadata.dtype == DType::boolean) check_bools(piece, elements);
}

StatisticsSink::StatisticsSink(const ItemIndex& index) : index_(index) {
  statistics_.resize(index.leaves().size());
}

std::size_t StatisticsSink::scratch_bytes(const PieceView& piece) const {
  return piece.array.verbatim ? 0 : piece.array.chunk_bytes;
}

void StatisticsSink::take(const PieceView& piece, std::span<const std::byte> stored,
                          std::span<std::byte> scratch) {
  std::span<const std::byte> elements;
  if (piece.array.verbatim) {
    elements = verbatim_elements(piece, stored);
  } else {
    zarr::decode_chunk(piece.array.metadata, stored, scratch.first(piece.array.chunk_bytes));
    elements = scratch;
  }
  const DType dtype = piece.array.metadata.dtype;
  Statistics statistics;
  for_each_run(dtype, piece.wanted, piece.box, elements.data(),
               [&](std::span<const std::byte> run) { statistics.add(dtype, run); });
  const auto number = static_cast<std::size_t>(&piece.leaf - index_.leaves().data());
  const std::lock_guard lock(mutex_);
  statistics_[number].merge(statistics);
}

std::vector<Statistics> StatisticsSink::finish() {
  for (std::size_t i = 0; i < statistics_.size(); ++i) {
    const StoredLeaf& leaf = index_.leaves()[i];
    if (!leaf.array) continue;
    // What no chunk had is the fill value.
    const auto wanted = static_cast<std::uint64_t>(element_count(leaf.wanted().shape));
    assert(statistics_[i].count <= wanted);
    statistics_[i].add_copies(leaf.array->metadata.dtype, leaf.array->metadata.fill_value,
                              wanted - statistics_[i].count);
  }
  return std::move(statistics_);
}

}  // namespace cairn::internal
