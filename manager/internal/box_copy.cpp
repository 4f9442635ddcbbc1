#include <cairn/manager/internal/box_copy.h>

#include <algorithm>
#include <cstring>

namespace cairn::internal {
namespace {

/// Bytes from the start of `box`, dense, to the first element of `what`.
std::size_t offset_in(const IndexRange& box, const IndexRange& what,
                      std::span<const Index> strides) {
  Index offset = 0;
  for (std::size_t d = 0; d < what.origin.size(); ++d)
    offset += (what.origin[d] - box.origin[d]) * strides[d];
  return static_cast<std::size_t>(offset);
}

/// How many trailing axes make one dense run in both boxes, one axis taken in part included: the
/// axes before them are stepped through.
std::size_t outer_axes(const IndexRange& what, const IndexRange& a, const IndexRange& b) {
  std::size_t outer = what.shape.size();
  while (outer > 0) {
    --outer;
    if (what.shape[outer] != a.shape[outer] || what.shape[outer] != b.shape[outer]) break;
  }
  return outer;
}

/// Calls `step(from_offset, to_offset, bytes)` for each run.
template <class Step>
void for_runs(DType dtype, const IndexRange& what, const IndexRange& from, const IndexRange& to,
              Step step) {
  const std::vector<Index> from_strides = c_strides(dtype, from.shape);
  const std::vector<Index> to_strides = c_strides(dtype, to.shape);
  const std::size_t outer = outer_axes(what, from, to);
  const std::size_t run = byte_count(dtype, std::span(what.shape).subspan(outer));
  std::size_t from_at = offset_in(from, what, from_strides);
  std::size_t to_at = offset_in(to, what, to_strides);
  Shape index(outer, 0);
  while (true) {
    step(from_at, to_at, run);
    std::size_t d = outer;
    while (d > 0) {
      --d;
      from_at += static_cast<std::size_t>(from_strides[d]);
      to_at += static_cast<std::size_t>(to_strides[d]);
      if (++index[d] < what.shape[d]) break;
      from_at -= static_cast<std::size_t>(from_strides[d] * index[d]);
      to_at -= static_cast<std::size_t>(to_strides[d] * index[d]);
      index[d] = 0;
      if (d == 0) return;
    }
    if (outer == 0) return;
  }
}

}  // namespace

void copy_box(DType dtype, const IndexRange& what, const IndexRange& from_box,
              const std::byte* from, const BoxView& to) {
  for_runs(dtype, what, from_box, to.box,
           [&](std::size_t from_at, std::size_t to_at, std::size_t bytes) {
             std::memcpy(to.data + to_at, from + from_at, bytes);
           });
}

void for_each_run(DType dtype, const IndexRange& what, const IndexRange& from_box,
                  const std::byte* from,
                  const std::function<void(std::span<const std::byte>)>& use) {
  for_runs(dtype, what, from_box, from_box,
           [&](std::size_t from_at, std::size_t, std::size_t bytes) {
             use(std::span(from + from_at, bytes));
           });
}

void fill_box(DType dtype, const IndexRange& what, const BoxView& to,
              std::span<const std::byte> element) {
  for_runs(dtype, what, to.box, to.box, [&](std::size_t, std::size_t at, std::size_t bytes) {
    fill_elements(std::span(to.data + at, bytes), element);
  });
}

std::span<std::byte> run_of(DType dtype, const IndexRange& what, const BoxView& to) {
  std::size_t axis = 0;
  while (axis < what.shape.size() && what.shape[axis] == 1) ++axis;
  for (std::size_t d = axis + 1; d < what.shape.size(); ++d) {
    if (what.shape[d] != to.box.shape[d]) return {};
  }
  const std::size_t at = offset_in(to.box, what, c_strides(dtype, to.box.shape));
  return {to.data + at, byte_count(dtype, what.shape)};
}

void fill_elements(std::span<std::byte> to, std::span<const std::byte> element) {
  const bool zero = std::ranges::all_of(element, [](std::byte b) { return b == std::byte{0}; });
  if (zero) {
    std::ranges::fill(to, std::byte{0});
    return;
  }
  // Doubled until it is full: long copies instead of many short ones.
  std::size_t done = std::min(element.size(), to.size());
  std::memcpy(to.data(), element.data(), done);
  while (done < to.size()) {
    const std::size_t more = std::min(done, to.size() - done);
    std::memcpy(to.data() + done, to.data(), more);
    done += more;
  }
}

}  // namespace cairn::internal
