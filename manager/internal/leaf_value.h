#pragma once
// What a stored leaf is in a tree that comes as it was saved.

#include <cairn/manager/internal/item_index.h>

namespace cairn::internal {

/// `array`: the leaf's elements, where it has any: an array, or what stands for one.
[[nodiscard]] Tree leaf_value(const StoredLeaf& leaf, Tree array);

}  // namespace cairn::internal
