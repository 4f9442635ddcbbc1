#pragma once
// Boxes of elements within larger arrays, and where they go. Pure; runs on the CPU pool.

#include <cairn/codecs/array.h>
#include <cairn/codecs/leaf.h>

#include <cstddef>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace cairn::internal {

/// Bytes from the first element of `box` to that of `what`, which lies in it, by strides of the
/// box.
[[nodiscard]] std::ptrdiff_t distance(const IndexRange& box, const IndexRange& what,
                                      std::span<const Index> strides);
/// Calls `use` with each run of elements of `what` that is dense in `from`, in C order.
void for_each_run(DType dtype, const IndexRange& what, const IndexRange& from_box,
                  const std::byte* from,
                  const std::function<void(std::span<const std::byte>)>& use);

/// Room for the elements of a box: memory with a dtype and strides of its own.
struct LoadTarget {
  LoadTarget(DType t, std::byte* d, std::vector<Index> s)
      : dtype(t), data(d), strides(std::move(s)) {}
  /// In dense C order.
  [[nodiscard]] static LoadTarget dense(DType dtype, std::byte* data, const Shape& shape) {
    return {dtype, data, c_strides(dtype, shape)};
  }
  DType dtype;
  std::byte* data;             ///< of the box's first element
  std::vector<Index> strides;  ///< bytes; one for each axis
  /// Where the first element of `what` goes, which lies in `box`.
  [[nodiscard]] std::byte* at(const IndexRange& box, const IndexRange& what) const {
    return data + distance(box, what, strides);
  }
};

/// Whether a box of `shape` is one dense run, in C order, of what `to` describes.
[[nodiscard]] bool is_run(std::span<const Index> shape, const LoadTarget& to);
/// Copies of `element`, cast from `dtype`, to the elements of `shape` from `at` on.
void fill_region(std::span<const std::byte> element, DType dtype, std::span<const Index> shape,
                 std::byte* at, const LoadTarget& to);
/// Zeros to those elements of `to`, a place of shape `whole`, that are not below `used` on every
/// axis.
void zero_beyond(std::span<const Index> used, std::span<const Index> whole, const LoadTarget& to);

}  // namespace cairn::internal
