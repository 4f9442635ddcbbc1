#include <cairn/codecs/cast.h>
#include <cairn/manager/internal/box_copy.h>

#include <algorithm>

namespace cairn::internal {

std::ptrdiff_t distance(const IndexRange& box, const IndexRange& what,
                        std::span<const Index> strides) {
  std::ptrdiff_t bytes = 0;
  for (std::size_t d = 0; d < strides.size(); ++d)
    bytes += (what.origin[d] - box.origin[d]) * strides[d];
  return bytes;
}

void for_each_run(DType dtype, const IndexRange& what, const IndexRange& from_box,
                  const std::byte* from,
                  const std::function<void(std::span<const std::byte>)>& use) {
  const std::vector<Index> strides = c_strides(dtype, from_box.shape);
  // Trailing axes that are taken whole make one run, with one axis before them taken in part.
  std::size_t outer = what.shape.size();
  while (outer > 0) {
    --outer;
    if (what.shape[outer] != from_box.shape[outer]) break;
  }
  const std::size_t run = byte_count(dtype, std::span(what.shape).subspan(outer));
  std::ptrdiff_t at = distance(from_box, what, strides);
  Shape index(outer, 0);
  while (true) {
    use(std::span(from + at, run));
    std::size_t d = outer;
    while (d > 0) {
      --d;
      at += strides[d];
      if (++index[d] < what.shape[d]) break;
      at -= strides[d] * index[d];
      index[d] = 0;
      if (d == 0) return;
    }
    if (outer == 0) return;
  }
}

bool is_run(std::span<const Index> shape, const LoadTarget& to) {
  auto dense = static_cast<Index>(size_of(to.dtype));
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;
    if (to.strides[d] != dense) return false;
    dense *= shape[d];
  }
  return true;
}

void fill_region(std::span<const std::byte> element, DType dtype, std::span<const Index> shape,
                 std::byte* at, const LoadTarget& to) {
  const std::vector<Index> still(shape.size(), 0);
  cast_region(element.data(), dtype, still, shape, at, to.dtype, to.strides);
}

void zero_beyond(std::span<const Index> used, std::span<const Index> whole, const LoadTarget& to) {
  if (std::ranges::find(whole, 0) != whole.end()) return;  // no elements, and no memory to count in
  const std::vector<std::byte> zero(size_of(to.dtype));
  // Slab by slab: axis d beyond what is used, those before it within, those behind it whole.
  Shape slab(whole.begin(), whole.end());
  for (std::size_t d = 0; d < whole.size(); ++d) {
    slab[d] = whole[d] - used[d];
    fill_region(zero, to.dtype, slab, to.data + used[d] * to.strides[d], to);
    slab[d] = used[d];
  }
}

}  // namespace cairn::internal
