// copy_region() and scatter_region(): both are one copy between two strided places, and mostly end
// as a few long memcpy calls.

#include <cairn/codecs/array.h>
#include <cairn/codecs/internal/strided_plan.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>
#include <cstring>
#include <stdexcept>

namespace cairn {
namespace {

using internal::make_strided_plan;
using internal::StridedAxis;
using internal::StridedPlan;

// The innermost loop. With a size known when compiled, memcpy is a load and a store.
template <std::size_t kRun>
void copy_line(const std::byte* from, std::byte* to, const StridedAxis& axis, std::size_t run) {
  for (Index i = 0; i < axis.extent; ++i) {
    std::memcpy(to + i * axis.to_stride, from + i * axis.from_stride, kRun == 0 ? run : kRun);
  }
}

// Copies elements of `item` bytes, as runs of those that lie side by side in both places.
void execute(StridedPlan plan, std::size_t item, const std::byte* from, std::byte* to) {
  std::size_t run = item;
  if (plan.rank != 0) {
    const StridedAxis& inner = plan.axes[plan.rank - 1];
    const auto size = static_cast<Index>(item);
    if (inner.from_stride == size && inner.to_stride == size) {
      run *= static_cast<std::size_t>(plan.pop().extent);
    }
  }
  if (plan.rank == 0) {
    std::memcpy(to, from, run);
    return;
  }
  const StridedAxis line = plan.pop();
  const internal::CopyLine copy = internal::line_copier(run);
  internal::for_each_offset(plan, [&](Index from_offset, Index to_offset) {
    copy(from + from_offset, to + to_offset, line, run);
  });
}

void check_box(const ArrayView& from, std::span<const Index> origin, std::span<const Index> shape) {
  const Shape& whole = from.shape();
  bool fits = origin.size() == whole.size() && shape.size() == whole.size();
  for (std::size_t i = 0; fits && i < whole.size(); ++i) {
    fits = origin[i] >= 0 && shape[i] >= 0 && origin[i] <= whole[i] &&
           shape[i] <= whole[i] - origin[i];
  }
  if (fits) return;
  throw std::invalid_argument(
      fmt::format("region at [{}] of shape [{}] does not lie within the array of shape [{}]",
                  fmt::join(origin, ", "), fmt::join(shape, ", "), fmt::join(whole, ", ")));
}

}  // namespace

internal::CopyLine internal::line_copier(std::size_t run) noexcept {
  switch (run) {
    case 1:
      return copy_line<1>;
    case 2:
      return copy_line<2>;
    case 4:
      return copy_line<4>;
    case 8:
      return copy_line<8>;
    case 16:
      return copy_line<16>;
    default:
      return copy_line<0>;
  }
}

void copy_region(const ArrayView& from, std::span<const Index> origin, std::span<const Index> shape,
                 std::byte* to) {
  check_box(from, origin, shape);
  if (element_count(shape) == 0) return;
  assert(to != nullptr && from.data() != nullptr);
  Index offset = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) offset += origin[i] * from.strides()[i];
  const auto to_strides = c_strides(from.dtype(), shape);
  execute(make_strided_plan(shape, from.strides(), to_strides), size_of(from.dtype()),
          from.data() + offset, to);
}

void scatter_region(const std::byte* from, DType dtype, std::span<const Index> shape, std::byte* to,
                    std::span<const Index> to_strides) {
  if (to_strides.size() != shape.size()) {
    throw std::invalid_argument(
        fmt::format("target of shape [{}]: {} strides given; allowed: {}, one per axis",
                    fmt::join(shape, ", "), to_strides.size(), shape.size()));
  }
  if (element_count(shape) == 0) return;
  assert(to != nullptr && from != nullptr);
  execute(make_strided_plan(shape, c_strides(dtype, shape), to_strides), size_of(dtype), from, to);
}

}  // namespace cairn
