#pragma once
// Elements of a general leaf, from wherever its parts have them.

#include <cairn/codecs/leaf.h>
#include <cairn/manager/internal/storage.h>

#include <memory>
#include <span>
#include <vector>

namespace cairn::internal {

/// Waits for Source::read. The source owns `to` until it calls back, so a cancelled caller waits
/// for that too.
Task<void> await_source(std::shared_ptr<Source> source, IndexRange range, std::span<std::byte> to);

/// The elements [first, last) of an array of `shape`, counted in C order, as boxes in that order:
/// at most two per axis and one more.
[[nodiscard]] std::vector<IndexRange> boxes_of(const Shape& shape, std::uint64_t first,
                                               std::uint64_t last);

/// Fills `to` with the elements of `box` in dense C order. `leaf` lives meanwhile, and its parts
/// cover the box.
Task<void> read_leaf_box(const Leaf* leaf, IndexRange box, std::byte* to);

}  // namespace cairn::internal
