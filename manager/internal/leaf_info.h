#pragma once
// What tools and metadata say of a leaf.

#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/item_index.h>

namespace cairn::internal {

/// `stored_bytes`: of its chunks on disk.
[[nodiscard]] LeafInfo describe_leaf(const StoredLeaf& leaf, std::uint64_t stored_bytes);

}  // namespace cairn::internal
