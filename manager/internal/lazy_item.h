#pragma once
// What stands behind a LazyTree.

#include <cairn/manager/internal/stored_source.h>
#include <cairn/manager/lazy_tree.h>

#include <memory>

namespace cairn::internal {

struct LazyItem {
  LazyItem(std::shared_ptr<OpenItem> i, Tree t);
  std::shared_ptr<OpenItem> item;
  Tree tree;
  boost::json::object custom_metadata;
};

/// Opens all of an item.
Task<LazyTree> open_lazily(OpenStepPtr step, FolderPtr folder, std::string name);

}  // namespace cairn::internal
