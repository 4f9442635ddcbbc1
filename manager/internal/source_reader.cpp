#include <cairn/engine/coroutine_rules.h>
#include <cairn/manager/future.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/source_reader.h>

#include <boost/asio/bind_cancellation_slot.hpp>

#include <algorithm>
#include <cstring>

namespace cairn::internal {

static_assert(engine::CoroutineParameter<IndexRange> && engine::CoroutineParameter<ChunkPlace>);

Task<void> await_source(std::shared_ptr<Source> source, IndexRange range, std::span<std::byte> to) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  auto state = std::make_shared<impl::SharedState<void>>();
  std::function<void(std::exception_ptr)> done = [state](std::exception_ptr error) {
    state->set(std::move(error), impl::Unit());
  };
  std::exception_ptr failure;
  bool asked = false;
  try {
    source->read(range, to, std::move(done));
    asked = true;
  } catch (...) {
    failure = std::current_exception();
  }
  if (asked) {
    const Future<void> future(state);
    auto [answer] =
        co_await future.result(asio::bind_cancellation_slot(asio::cancellation_slot(), kAsTuple));
    failure = answer;
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (failure) std::rethrow_exception(failure);
}

std::vector<IndexRange> boxes_of(const Shape& shape, std::uint64_t first, std::uint64_t last) {
  const std::size_t rank = shape.size();
  std::vector<std::uint64_t> strides(rank, 1);
  for (std::size_t d = rank; d-- > 1;) {
    strides[d - 1] = strides[d] * static_cast<std::uint64_t>(shape[d]);
  }
  std::vector<IndexRange> boxes;
  while (first < last) {
    // The outermost axis of which whole slices begin here and end in time.
    std::size_t axis = 0;
    while (axis + 1 < rank && (first % strides[axis] != 0 || first + strides[axis] > last)) ++axis;
    IndexRange box{Shape(rank, 0), shape};
    std::uint64_t elements = 1;
    for (std::size_t d = 0; d < rank; ++d) {
      const auto extent = static_cast<std::uint64_t>(shape[d]);
      const std::uint64_t index = first / strides[d] % extent;
      box.origin[d] = static_cast<Index>(index);
      if (d < axis) box.shape[d] = 1;
      if (d == axis) {
        const std::uint64_t count = std::min((last - first) / strides[d], extent - index);
        box.shape[d] = static_cast<Index>(count);
        elements = count * strides[d];
      }
    }
    first += elements;
    boxes.push_back(std::move(box));
  }
  return boxes;
}

Task<void> read_leaf_box(const Leaf* leaf, IndexRange box, std::byte* to) {
  const std::size_t rank = box.shape.size();
  const std::vector<Index> strides = c_strides(leaf->dtype(), box.shape);
  for (const LeafPart& part : leaf->parts()) {
    // The overlap: in indices of the part, and in bytes from the box's start.
    IndexRange in_part{Shape(rank), Shape(rank)};
    std::ptrdiff_t offset = 0;
    bool empty = false;
    for (std::size_t d = 0; d < rank; ++d) {
      const Index begin = std::max(box.origin[d], part.range.origin[d]);
      const Index end =
          std::min(box.origin[d] + box.shape[d], part.range.origin[d] + part.range.shape[d]);
      empty = empty || begin >= end;
      in_part.origin[d] = begin - part.range.origin[d];
      in_part.shape[d] = end - begin;
      offset += (begin - box.origin[d]) * strides[d];
    }
    if (empty) continue;
    // The whole box lies dense already; a part of it is scattered.
    const bool whole = in_part.shape == box.shape;
    std::vector<std::byte> dense(whole ? 0 : byte_count(leaf->dtype(), in_part.shape));
    const std::span<std::byte> target =
        whole ? std::span(to, byte_count(leaf->dtype(), box.shape)) : std::span(dense);
    if (const auto* view = std::get_if<ArrayView>(&part.source)) {
      copy_region(*view, in_part.origin, in_part.shape, target.data());
    } else {
      co_await await_source(std::get<std::shared_ptr<Source>>(part.source), in_part, target);
    }
    if (!whole) {
      scatter_region(dense.data(), leaf->dtype(), in_part.shape, to + offset, strides);
    }
  }
}

}  // namespace cairn::internal
