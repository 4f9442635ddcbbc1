#include <cairn/manager/internal/chunk_sink.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

namespace cairn::internal {
namespace {

std::uint64_t machine_memory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGE_SIZE);
  return pages > 0 && page > 0
             ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page)
             : UINT64_MAX;
}

/// The elements of a chunk whose stored bytes begin with them.
std::span<const std::byte> verbatim_elements(const PieceView& piece,
                                             std::span<const std::byte> stored) {
  zarr::check_chunk(piece.array.metadata, stored);
  return stored.first(piece.array.chunk_bytes);
}

/// Refuses a tree that no memory could hold, before any is asked for.
void check_memory(const ItemIndex& index) {
  const std::uint64_t most = machine_memory();
  std::uint64_t bytes = 0;
  for (const StoredLeaf& leaf : index.leaves()) {
    if (!leaf.array) continue;
    const std::uint64_t more = byte_count(leaf.array->metadata.dtype, leaf.wanted().shape);
    if (more <= most && bytes + more <= most) {
      bytes += more;
      continue;
    }
    throw index.leaf_error(leaf, ErrorCode::resource_exhausted,
                           "the array has " + std::to_string(more) + " bytes and those before it " +
                               std::to_string(bytes) + ", more than this machine's memory of " +
                               std::to_string(most),
                           index.folder()->path);
  }
}

}  // namespace

std::vector<Array> allocate_arrays(const ItemIndex& index) {
  check_memory(index);
  std::vector<Array> arrays(index.leaves().size());
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const StoredLeaf& leaf = index.leaves()[i];
    if (leaf.array)
      arrays[i] = Array::uninitialized(leaf.array->metadata.dtype, leaf.wanted().shape);
  }
  return arrays;
}

BoxView LoadSink::target(const StoredLeaf& leaf) const {
  const auto number = static_cast<std::size_t>(&leaf - leaves_.data());
  return {leaf.wanted(), memory_[number]};
}

std::size_t LoadSink::scratch_bytes(const PieceView& piece) const {
  const DType dtype = piece.array.metadata.dtype;
  const bool direct =
      piece.wanted == piece.box && !run_of(dtype, piece.wanted, target(piece.leaf)).empty();
  return piece.array.verbatim || direct ? 0 : piece.array.chunk_bytes;
}

void LoadSink::take(const PieceView& piece, std::span<const std::byte> stored,
                    std::span<std::byte> scratch) {
  const DType dtype = piece.array.metadata.dtype;
  const BoxView to = target(piece.leaf);
  const std::span<std::byte> run =
      piece.wanted == piece.box ? run_of(dtype, piece.wanted, to) : std::span<std::byte>();
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
  copy_box(dtype, piece.wanted, piece.box, elements.data(), to);
}

void LoadSink::take_absent(const PieceView& piece) {
  fill_box(piece.array.metadata.dtype, piece.wanted, target(piece.leaf),
           piece.array.metadata.fill_value);
}

void LoadSink::begin_incomplete(const StoredLeaf& leaf) {
  const BoxView to = target(leaf);
  fill_elements({to.data, byte_count(leaf.array->metadata.dtype, to.box.shape)},
                leaf.array->metadata.fill_value);
}

std::size_t CheckSink::scratch_bytes(const PieceView& piece) const {
  return piece.array.verbatim || zarr::has_checksum(piece.array.metadata) ? 0
                                                                          : piece.array.chunk_bytes;
}

void CheckSink::take(const PieceView& piece, std::span<const std::byte> stored,
                     std::span<std::byte> scratch) {
  if (scratch_bytes(piece) == 0) {
    zarr::check_chunk(piece.array.metadata, stored);
  } else {
    // Without a checksum, that it decodes is all there is to see.
    zarr::decode_chunk(piece.array.metadata, stored, scratch.first(piece.array.chunk_bytes));
  }
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
