#pragma once
// Reads a tree item into a target.

#include <cairn/manager/internal/target_plan.h>

#include <memory>
#include <vector>

namespace cairn::internal {

/// Reads `leaves` of the index, which may be narrowed, to `targets`. Of the engine's memory it
/// takes the window's alone, and waits for it. `index` lives meanwhile.
Task<void> read_leaves(const ItemIndex* index, std::vector<StoredLeaf> leaves,
                       std::vector<LoadTarget> targets);

/// Restores what `plan` has chosen of the index, and gives the target. Both live meanwhile.
Task<Tree> read_target(const ItemIndex* index, TargetPlan* plan);

}  // namespace cairn::internal
