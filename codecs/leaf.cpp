#include <cairn/codecs/leaf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace cairn {
namespace {

std::string text(const IndexRange& range) {
  return fmt::format("[{}] + [{}]", fmt::join(range.origin, ", "), fmt::join(range.shape, ", "));
}

void check_part(std::size_t number, const LeafPart& part, DType dtype, const Shape& shape) {
  const auto fail = [&](const std::string& why) {
    throw std::invalid_argument(fmt::format("part {} of a {} leaf of shape [{}]: {}", number,
                                            name_of(dtype), fmt::join(shape, ", "), why));
  };
  const IndexRange& range = part.range;
  if (range.origin.size() != shape.size() || range.shape.size() != shape.size()) {
    fail(fmt::format("range {} is not of rank {}", text(range), shape.size()));
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (range.origin[i] < 0 || range.shape[i] < 0 || range.origin[i] > shape[i] ||
        range.shape[i] > shape[i] - range.origin[i]) {
      fail(fmt::format("range {} leaves axis {}", text(range), i));
    }
  }
  if (const auto* view = std::get_if<ArrayView>(&part.source)) {
    if (view->dtype() != dtype) fail(fmt::format("its view holds {}", name_of(view->dtype())));
    if (view->shape() != range.shape) {
      fail(fmt::format("its view has shape [{}], its range {}", fmt::join(view->shape(), ", "),
                       text(range)));
    }
  } else if (std::get<std::shared_ptr<Source>>(part.source) == nullptr) {
    fail("it has no source");
  }
}

bool overlap(const IndexRange& a, const IndexRange& b) {
  for (std::size_t i = 0; i < a.origin.size(); ++i) {
    const Index begin = std::max(a.origin[i], b.origin[i]);
    const Index end = std::min(a.origin[i] + a.shape[i], b.origin[i] + b.shape[i]);
    if (begin >= end) return false;
  }
  return true;
}

// Sweeps along the axis with the most distinct origins: parts whose extents there are disjoint are
// never compared, so that the usual shards of one axis take n log n steps.
void check_overlap(const std::vector<LeafPart>& parts, std::size_t rank) {
  if (parts.size() < 2) return;
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::size_t axis = 0;
  std::size_t most = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    std::vector<Index> origins;
    origins.reserve(parts.size());
    for (const LeafPart& part : parts) origins.push_back(part.range.origin[i]);
    std::sort(origins.begin(), origins.end());
    const auto distinct =
        static_cast<std::size_t>(std::unique(origins.begin(), origins.end()) - origins.begin());
    if (distinct <= most) continue;
    most = distinct;
    axis = i;
  }
  const auto begin = [&](std::size_t part) { return rank ? parts[part].range.origin[axis] : 0; };
  const auto end = [&](std::size_t part) {
    return rank ? begin(part) + parts[part].range.shape[axis] : 1;
  };
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return begin(a) < begin(b); });
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t j = i + 1; j < order.size() && begin(order[j]) < end(order[i]); ++j) {
      if (!overlap(parts[order[i]].range, parts[order[j]].range)) continue;
      const auto [first, second] = std::minmax(order[i], order[j]);
      throw std::invalid_argument(fmt::format("parts {} and {} of a leaf overlap: {} and {}", first,
                                              second, text(parts[first].range),
                                              text(parts[second].range)));
    }
  }
}

std::vector<LeafPart> whole(const Shape& shape, std::shared_ptr<Source> source) {
  std::vector<LeafPart> parts;
  parts.emplace_back(IndexRange{Shape(shape.size(), 0), shape}, std::move(source));
  return parts;
}

}  // namespace

Leaf::Leaf(DType dtype, Shape shape, std::vector<LeafPart> parts)
    : dtype_(dtype), shape_(std::move(shape)), parts_(std::move(parts)) {
  static_cast<void>(byte_count(dtype_, shape_));  // throws for what cannot exist
  for (std::size_t i = 0; i < parts_.size(); ++i) check_part(i, parts_[i], dtype_, shape_);
  check_overlap(parts_, shape_.size());
}

Leaf::Leaf(DType dtype, Shape shape, std::shared_ptr<Source> source)
    : Leaf(dtype, shape, whole(shape, std::move(source))) {}

}  // namespace cairn
