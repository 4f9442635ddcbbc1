#include <cairn/manager/internal/safetensors_blocks.h>

#include <algorithm>
#include <memory>

namespace cairn::internal {

Bands bands_of(const PlannedTensor& tensor) {
  Bands bands;
  if (tensor.leaf == nullptr || tensor.leaf->parts().size() != 1 || tensor.bytes == 0) return bands;
  const auto* source = std::get_if<std::shared_ptr<Source>>(&tensor.leaf->parts().front().source);
  if (source == nullptr) return bands;
  const Shape box = (*source)->natural_box();
  const Shape& shape = tensor.shape;
  if (shape.empty() || box.size() != shape.size()) return bands;
  // Along the axes before the first that a box is longer than one on, boxes follow each other.
  std::size_t axis = 0;
  while (axis + 1 < shape.size() && std::min(box[axis], shape[axis]) <= 1) ++axis;
  std::uint64_t slice = size_of(tensor.dtype);
  for (std::size_t d = axis + 1; d < shape.size(); ++d)
    slice *= static_cast<std::uint64_t>(shape[d]);
  bands.row = slice * static_cast<std::uint64_t>(shape[axis]);
  bands.band =
      std::min(bands.row, slice * static_cast<std::uint64_t>(std::max<Index>(box[axis], 1)));
  return bands;
}

bool BlockCutter::next() {
  begin_ = end_;
  if (begin_ >= file_.size) return false;
  const std::uint64_t ideal = begin_ / kBlockBytes * kBlockBytes + kBlockBytes;
  end_ = ideal >= file_.size ? file_.size : cut_near(ideal);
  return true;
}

std::uint64_t BlockCutter::cut_near(std::uint64_t ideal) const {
  const auto tensor = std::ranges::upper_bound(
      file_.tensors, ideal, {},
      [](const PlannedTensor& candidate) { return candidate.begin + candidate.bytes; });
  if (tensor == file_.tensors.end() || tensor->begin >= ideal) return ideal;
  const Bands bands = bands_of(*tensor);
  if (bands.band == 0) return ideal;
  const std::uint64_t packing = tensor->packing;
  const std::uint64_t within = (ideal - tensor->begin) * packing;
  const std::uint64_t row = within / bands.row * bands.row;
  const std::uint64_t below = row + (within - row) / bands.band * bands.band;
  if (below == within) return ideal;
  const std::uint64_t above = std::min(below + bands.band, row + bands.row);
  const std::uint64_t after = tensor->begin + (above + packing - 1) / packing;
  if (after - begin_ <= most_) return after;
  if (tensor->begin + below / packing > begin_) return tensor->begin + below / packing;
  return begin_ + most_;
}

}  // namespace cairn::internal
