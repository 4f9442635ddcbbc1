#pragma once
// Boxes of elements between two dense C-order arrays. Pure; runs on the CPU pool.

#include <cairn/codecs/array.h>
#include <cairn/codecs/leaf.h>

#include <cstddef>
#include <functional>
#include <span>

namespace cairn::internal {

/// An array in memory that stands for a box of a larger one.
struct BoxView {
  BoxView(IndexRange b, std::byte* d) : box(std::move(b)), data(d) {}
  IndexRange box;   ///< what it covers of the larger array
  std::byte* data;  ///< dense C order
};

/// Copies the elements of `what`, which lies within both boxes, from one to the other.
void copy_box(DType dtype, const IndexRange& what, const IndexRange& from_box,
              const std::byte* from, const BoxView& to);
/// Calls `use` with each run of elements of `what` that is dense in `from`, in C order.
void for_each_run(DType dtype, const IndexRange& what, const IndexRange& from_box,
                  const std::byte* from,
                  const std::function<void(std::span<const std::byte>)>& use);
/// Fills `what`, which lies within the box, with copies of `element`.
void fill_box(DType dtype, const IndexRange& what, const BoxView& to,
              std::span<const std::byte> element);
/// The memory of `what` in `to` where it is one dense run; empty where it is not.
[[nodiscard]] std::span<std::byte> run_of(DType dtype, const IndexRange& what, const BoxView& to);
/// Fills with copies of `element`; zeros where it is empty.
void fill_elements(std::span<std::byte> to, std::span<const std::byte> element);

}  // namespace cairn::internal
