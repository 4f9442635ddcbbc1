#pragma once
// Arrays of a tree item as leaves that are read when somebody asks for their elements.

#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/tree_reader.h>

#include <memory>
#include <string>

namespace cairn::internal {

/// A tree item that is open, and its step, which is not deleted meanwhile.
struct OpenItem {
  OpenItem(OpenStepPtr s, FolderPtr folder, const std::string& name)
      : step(std::move(s)),
        reader(std::move(folder), name, item_form(*step, name), throw_damage(),
               ForeignLeaves::listed) {}
  OpenStepPtr step;
  TreeReader reader;
};

/// The tree of `item`, whose reader has opened it: numbers and arrays of up to kInlineBytes are
/// read now, others are leaves that keep `item`. Reading those checks what load() would check. A
/// foreign leaf is a placeholder.
Task<Tree> open_leaves(std::shared_ptr<OpenItem> item);

}  // namespace cairn::internal
