#include <cairn/codecs/mutable_array_view.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace cairn {
namespace {

/// Whether each stride reaches beyond what the axes of smaller strides take. Strides that do not
/// may still keep elements apart, but nobody lays arrays out like that.
bool keeps_apart(DType dtype, const Shape& shape, const std::vector<Index>& strides) {
  std::vector<std::pair<Index, Index>> axes;  // stride, extent
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    if (strides[d] == std::numeric_limits<Index>::min()) return false;
    axes.emplace_back(std::abs(strides[d]), shape[d]);
  }
  std::sort(axes.begin(), axes.end());
  auto taken = static_cast<Index>(size_of(dtype));
  for (const auto& [stride, extent] : axes) {
    if (stride < taken) return false;
    Index reach = 0;
    if (__builtin_mul_overflow(stride, extent - 1, &reach) ||
        __builtin_add_overflow(taken, reach, &taken)) {
      return false;
    }
  }
  return true;
}

}  // namespace

MutableArrayView::MutableArrayView(DType dtype, Shape shape, void* data, std::vector<Index> strides,
                                   std::shared_ptr<const void> owner)
    : view_(dtype, std::move(shape), data, std::move(strides), std::move(owner)),
      data_(static_cast<std::byte*>(data)) {
  if (view_.size() == 0 || keeps_apart(dtype, view_.shape(), view_.strides())) return;
  throw std::invalid_argument(fmt::format(
      "memory of {}[{}] with strides of [{}] bytes: elements would overlap; allowed: strides that "
      "each reach beyond the axes of smaller ones",
      name_of(dtype), fmt::join(view_.shape(), ", "), fmt::join(view_.strides(), ", ")));
}

MutableArrayView::MutableArrayView(Array& array)
    : MutableArrayView(array.dtype(), array.shape(), array.bytes().data()) {}

}  // namespace cairn
