#pragma once
// A saved tree that is open: what it has is known, its elements are read when somebody asks.

#include <cairn/codecs/tree.h>
#include <cairn/export.h>
#include <cairn/manager/future.h>
#include <cairn/manager/restore_args.h>

#include <boost/json/object.hpp>
#include <memory>

namespace cairn {
namespace internal {
struct LazyItem;
}

/// What args::LazyRestore gives. A cheap handle; copies stand for the same item. Thread-safe.
///
/// It holds its step's directory, and the step against deletion: until the last handle is gone,
/// and what was asked of it has ended, delete_step() is refused (busy) and retention comes back
/// later. It needs the engine, which it keeps, and not the manager: it outlives its close().
class CAIRN_EXPORT LazyTree {
 public:
  LazyTree() = default;  ///< none: to be assigned to
  explicit LazyTree(std::shared_ptr<internal::LazyItem> item) noexcept : item_(std::move(item)) {}
  [[nodiscard]] bool valid() const noexcept { return item_ != nullptr; }

  /// What open_tree() gives: a Leaf, with dtype and shape, for each array of more than 1 KiB, which
  /// a save or write_safetensors() may take; everything else as it is. A leaf of a type that a
  /// program registered with Orbax cannot be read, and is a Placeholder(). Also fit to be a target.
  [[nodiscard]] const Tree& tree() const noexcept;
  /// What the tree was saved with (args::TreeSave::custom_metadata); empty where that was nothing.
  [[nodiscard]] const boost::json::object& custom_metadata() const noexcept;

  /// Reads all of it, what `how` selects, or what its target needs, with every checksum verified.
  /// Several reads may be under way. Errors: those of restore(), data_loss alone of what is read.
  /// Future::cancel() stops it; then, as after an error, the elements of a target are undefined.
  [[nodiscard]] Future<Tree> read(args::StandardRestore how = {}) const;
  [[nodiscard]] Future<Tree> read(args::PyTreeRestore how) const;
  /// What is at a path, a leaf or a tree, without what is above it: the elements of one array, or
  /// of a range of it. Errors: those of args::TreeRestore::selection.
  [[nodiscard]] Future<Tree> read_at(args::Selection selection) const;

 private:
  std::shared_ptr<internal::LazyItem> item_;
};

}  // namespace cairn
