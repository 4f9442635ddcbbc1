#pragma once
// Reading a tree from wherever it is, without a manager.

#include <cairn/codecs/tree.h>
#include <cairn/export.h>
#include <cairn/manager/args.h>
#include <cairn/manager/future.h>

#include <memory>
#include <string>
#include <vector>

namespace cairn {
namespace engine {
class Engine;
}

struct ReadOptions {
  ReadOptions() = default;
  explicit ReadOptions(std::vector<args::Selection> s) : selection(std::move(s)) {}
  /// Parts to read; empty: everything. As in args::StandardRestore.
  std::vector<args::Selection> selection;
};

/// The tree at `path`, every stored checksum verified: an item's directory; a step that is one item
/// or has one tree; or zarr arrays and groups (v2 or v3, in an OCDBT database or plain files),
/// whose names make nested dicts, a bare array a tree of its own. Errors: those of restore(); for a
/// step with several trees, not_found naming its items.
CAIRN_EXPORT Future<Tree> read_tree(std::shared_ptr<engine::Engine> engine, std::string path,
                                    ReadOptions options = {});

}  // namespace cairn
