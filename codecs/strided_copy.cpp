// copy_region() and scatter_region(): both are one copy between two strided places. Axes are first
// merged where both places allow it, so that most copies end as a few long memcpy calls.

#include <cairn/codecs/array.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cassert>
#include <cstring>
#include <stdexcept>

namespace cairn {
namespace {

struct Axis {
  Index extent;
  Index from_stride;  // bytes
  Index to_stride;    // bytes
};

struct Plan {
  std::array<Axis, kMaxRank> axes;  // outermost first, `rank` of them
  std::size_t rank = 0;
  std::size_t run = 0;  // bytes that lie side by side in both places
};

Plan make_plan(std::span<const Index> shape, std::span<const Index> from_strides,
               std::span<const Index> to_strides, std::size_t item) {
  Plan plan;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    const Axis axis{shape[i], from_strides[i], to_strides[i]};
    Axis* outer = plan.rank == 0 ? nullptr : &plan.axes[plan.rank - 1];
    if (outer != nullptr && outer->from_stride == axis.from_stride * axis.extent &&
        outer->to_stride == axis.to_stride * axis.extent) {
      *outer = Axis{outer->extent * axis.extent, axis.from_stride, axis.to_stride};
    } else {
      plan.axes[plan.rank++] = axis;
    }
  }
  plan.run = item;
  if (plan.rank != 0) {
    const Axis& inner = plan.axes[plan.rank - 1];
    const auto size = static_cast<Index>(item);
    if (inner.from_stride == size && inner.to_stride == size) {
      plan.run *= static_cast<std::size_t>(inner.extent);
      --plan.rank;
    }
  }
  return plan;
}

// The innermost loop. With a size known when compiled, memcpy is a load and a store.
template <std::size_t kRun>
void copy_line(const std::byte* from, std::byte* to, const Axis& axis, std::size_t run) {
  for (Index i = 0; i < axis.extent; ++i) {
    std::memcpy(to + i * axis.to_stride, from + i * axis.from_stride, kRun == 0 ? run : kRun);
  }
}

using CopyLine = void (*)(const std::byte*, std::byte*, const Axis&, std::size_t);

CopyLine line_copier(std::size_t run) {
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

// Offsets are kept as numbers and added to the base once: no pointer ever leaves the arrays.
void execute(const Plan& plan, const std::byte* from, std::byte* to) {
  if (plan.rank == 0) {
    std::memcpy(to, from, plan.run);
    return;
  }
  const CopyLine copy = line_copier(plan.run);
  const Axis& inner = plan.axes[plan.rank - 1];
  const std::size_t outer_rank = plan.rank - 1;
  std::array<Index, kMaxRank> at{};
  Index from_offset = 0;
  Index to_offset = 0;
  for (;;) {
    copy(from + from_offset, to + to_offset, inner, plan.run);
    std::size_t i = outer_rank;
    for (; i > 0; --i) {
      const Axis& axis = plan.axes[i - 1];
      from_offset += axis.from_stride;
      to_offset += axis.to_stride;
      if (++at[i - 1] < axis.extent) break;
      at[i - 1] = 0;
      from_offset -= axis.from_stride * axis.extent;
      to_offset -= axis.to_stride * axis.extent;
    }
    if (i == 0) return;
  }
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

void copy_region(const ArrayView& from, std::span<const Index> origin, std::span<const Index> shape,
                 std::byte* to) {
  check_box(from, origin, shape);
  if (element_count(shape) == 0) return;
  assert(to != nullptr && from.data() != nullptr);
  Index offset = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) offset += origin[i] * from.strides()[i];
  const auto to_strides = c_strides(from.dtype(), shape);
  execute(make_plan(shape, from.strides(), to_strides, size_of(from.dtype())), from.data() + offset,
          to);
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
  execute(make_plan(shape, c_strides(dtype, shape), to_strides, size_of(dtype)), from, to);
}

}  // namespace cairn
