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

/// Set the members you need.
struct ReadOptions {
  ReadOptions() = default;
  explicit ReadOptions(std::vector<args::Selection> s) : selection(std::move(s)) {}
  /// Parts to read; empty: everything. As in args::StandardRestore. Of safetensors: a tensor's
  /// name, or what its dots make of it a path to (layers.0 has layers.0.weight below it).
  std::vector<args::Selection> selection;
  std::string item;           ///< of a step: which one; empty: the only tree, as restore() finds it
  bool follow_links = false;  ///< as in SafetensorsReadOptions
};

/// The tree at `path`, every stored checksum verified: an item's directory; a step that is one item
/// or has one tree; zarr arrays and groups (v2 or v3, in an OCDBT database or plain files), whose
/// names make nested dicts, a bare array a tree of its own; or safetensors: a file, an index JSON,
/// or a directory with one of them, a flat dict of their tensors (manager/safetensors.h). Errors:
/// those of restore() or read_safetensors(); for a step with several trees, not_found naming its
/// items.
CAIRN_EXPORT Future<Tree> read_tree(std::shared_ptr<engine::Engine> engine, std::string path,
                                    ReadOptions options = {});

/// The same with a Leaf for each array of more than 1 KiB, whose elements are read, and verified,
/// when a save or write_safetensors() asks for them: for trees larger than memory. The leaves keep
/// the files open, the engine alive, and the step: it is not deleted meanwhile (`path` then names
/// the step, not its item). What cannot be read is an Error through whoever asked. A leaf of a type
/// that a program registered with Orbax is a Placeholder(), which no save takes; why,
/// inspect_item() says (LeafInfo::fault).
CAIRN_EXPORT Future<Tree> open_tree(std::shared_ptr<engine::Engine> engine, std::string path,
                                    ReadOptions options = {});

}  // namespace cairn
