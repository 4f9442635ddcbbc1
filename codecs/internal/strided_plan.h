#pragma once
// A walk over the elements of one shape in two strided places at once. Axes are first merged where
// both places allow it, so that most walks are few long lines.

#include <cairn/codecs/array.h>

#include <array>
#include <cstddef>
#include <span>

namespace cairn::internal {

struct StridedAxis {
  Index extent;
  Index from_stride;  // bytes
  Index to_stride;    // bytes
};

struct StridedPlan {
  std::array<StridedAxis, kMaxRank> axes;  ///< outermost first, `rank` of them
  std::size_t rank = 0;

  /// Takes the innermost axis away.
  StridedAxis pop() { return axes[--rank]; }
};

/// `shape` has elements, and strides of its rank.
[[nodiscard]] inline StridedPlan make_strided_plan(std::span<const Index> shape,
                                                   std::span<const Index> from_strides,
                                                   std::span<const Index> to_strides) {
  StridedPlan plan;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    const StridedAxis axis{shape[i], from_strides[i], to_strides[i]};
    StridedAxis* outer = plan.rank == 0 ? nullptr : &plan.axes[plan.rank - 1];
    if (outer != nullptr && outer->from_stride == axis.from_stride * axis.extent &&
        outer->to_stride == axis.to_stride * axis.extent) {
      *outer = StridedAxis{outer->extent * axis.extent, axis.from_stride, axis.to_stride};
    } else {
      plan.axes[plan.rank++] = axis;
    }
  }
  return plan;
}

/// Calls `visit(from_offset, to_offset)`, in bytes, for every index of the plan's axes, in C order;
/// once where there are none. Offsets are numbers, added to a base by the visitor: no pointer ever
/// leaves its array.
template <class Visit>
void for_each_offset(const StridedPlan& plan, const Visit& visit) {
  std::array<Index, kMaxRank> at{};
  Index from_offset = 0;
  Index to_offset = 0;
  for (;;) {
    visit(from_offset, to_offset);
    std::size_t i = plan.rank;
    for (; i > 0; --i) {
      const StridedAxis& axis = plan.axes[i - 1];
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

/// Copies `axis.extent` runs of `run` bytes from one strided place to another.
using CopyLine = void (*)(const std::byte* from, std::byte* to, const StridedAxis& axis,
                          std::size_t run);
/// The fastest for runs of this length.
[[nodiscard]] CopyLine line_copier(std::size_t run) noexcept;

}  // namespace cairn::internal
