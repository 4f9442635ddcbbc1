#pragma once
// Which process writes which chunks of a tree that several save together. Pure; runs on the CPU
// pool.
//
//   1. Each process surveys its tree: what every leaf is, and of leaves that it has in part, which
//      part.
//   2. The leader checks that all have the same tree, and combines what they have.
//   3. Each process decodes that: chunks divide the parts, so that each lies in one of them, and
//      the first process that has a chunk writes it. What all have, the first writes.

#include <cairn/manager/args.h>
#include <cairn/manager/coordination.h>
#include <cairn/manager/internal/codec_choice.h>
#include <cairn/manager/internal/layout.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::internal {

class SharePlan {
 public:
  /// The boxes of an array that a process has; none: it has all of it.
  using Holding = std::optional<std::vector<IndexRange>>;
  /// Of an array's leaf, in the order of ItemLayout::leaves.
  struct LeafShare {
    LeafShare() = default;
    CodecChoice choice;
    Shape chunk_shape;           ///< empty: as for one process
    std::vector<Holding> parts;  ///< of each process, in their order
  };
  SharePlan(std::size_t self, std::vector<LeafShare> leaves)
      : self_(self), leaves_(std::move(leaves)) {}
  [[nodiscard]] const LeafShare& leaf(std::size_t index) const { return leaves_[index]; }
  /// Whether this process writes the chunk with this box.
  [[nodiscard]] bool writes(std::size_t leaf, const IndexRange& chunk) const;

 private:
  std::size_t self_;  ///< place of this process
  std::vector<LeafShare> leaves_;
};
using SharePlanPtr = std::shared_ptr<const SharePlan>;

/// Step 1, encoded. Throws as plan_item() does.
[[nodiscard]] std::string survey(const args::TreeSave& args, const PlanSettings& settings);
/// Step 2, with what auto makes of the leader's elements. Throws invalid_argument naming the
/// process whose tree is another, and the leaf.
[[nodiscard]] std::string combine_surveys(const args::TreeSave& args, const PlanSettings& settings,
                                          const std::vector<std::string>& surveys,
                                          const std::vector<ProcessIndex>& processes);
/// Step 3. `self`: place of this process. Throws invalid_argument for parts that no chunks of a
/// sensible size divide.
[[nodiscard]] SharePlan decode_share_plan(const args::TreeSave& args, const PlanSettings& settings,
                                          const std::string& text, std::size_t self);

}  // namespace cairn::internal
