#pragma once
// How a tree is restored: as it was saved, in part, or into a target.

#include <cairn/codecs/key_transform.h>
#include <cairn/codecs/leaf.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::args {

/// Part of a tree: everything at and below a path, or of the one array there the elements of a
/// range.
struct Selection {
  explicit Selection(KeyPath p, std::optional<IndexRange> r = std::nullopt)
      : path(std::move(p)), range(std::move(r)) {}
  /// `text` as to_string() writes a path: a/b[3].
  explicit Selection(std::string text, std::optional<IndexRange> r = std::nullopt)
      : path(std::move(text)), range(std::move(r)) {}
  std::variant<KeyPath, std::string> path;  ///< the kinds of its keys do not count
  std::optional<IndexRange> range;          ///< in elements; none: all
};

/// What is common to the restores of trees. Without a target the tree comes as it was saved, or the
/// parts of it that `selection` names; strings come back as strings.
///
/// With a target its containers, and the order of their keys, come back, and each leaf of it says
/// what becomes of the saved leaf of its path:
///  - an Array: its elements are overwritten, and it comes back;
///  - a MutableArrayView: the elements go into that memory, which stays where it is and is nobody
///    else's until the future is ready, also where it is ready with an error; the view comes back;
///  - a LeafSpec: a new array of its dtype and shape. What it leaves open is as saved; LeafSpec()
///    takes any leaf, a number as a number and a string as a string;
///  - an ArrayView or a Leaf: a new array of its dtype and shape;
///  - a number: a number of its kind, from a number of any kind or an array of rank 0;
///  - Placeholder(): nothing is read; it comes back as a placeholder;
///  - null and empty containers: themselves.
/// Elements are cast from the saved dtype to the target's as codecs/cast.h says, chunk by chunk;
/// only chunks with elements that are wanted are read. What does not fit is one Error
/// (invalid_argument) with to_string(TreeDiff), before any element is read. After any other error
/// the elements of arrays and memory are undefined.
struct TreeRestore {
  TreeRestore() = default;
  /// Empty: everything. Otherwise what it names alone is read, chunk by chunk, and comes in its
  /// place in the tree; keys of a dict that were not asked for are absent, elements of a list null.
  /// A range comes as a new array of the range's shape: copy it to where it belongs, or cast it
  /// (codecs/cast.h). Errors: not_found for
  /// a path that is not there, with names like it; invalid_argument for a range that does not lie
  /// in its array, a range of several arrays, an array that is named twice, and beside a target.
  std::vector<Selection> selection;
  /// What to restore into: leaves say dtype, shape and place. None: the tree as saved.
  std::optional<Tree> target;
  /// False: an array may have another shape than the target's, of the same rank. Each axis is cut
  /// off at the target's extent, or filled up with zeros.
  bool strict = true;
  /// Saved leaves that the target does not have are left out; otherwise they are an error.
  bool partial_restore = false;
};

/// A tree; a target may not have strings.
struct StandardRestore : TreeRestore {
  StandardRestore() = default;
  explicit StandardRestore(std::vector<Selection> s) { selection = std::move(s); }
  StandardRestore(Tree t) { target = std::move(t); }  // NOLINT(google-explicit-constructor)
};

/// The same with strings in the target, where a string stands for any saved string, and with rules
/// by which leaves of the target take others than those of their own path.
struct PyTreeRestore : TreeRestore {
  PyTreeRestore() = default;
  explicit PyTreeRestore(std::vector<Selection> s) { selection = std::move(s); }
  explicit PyTreeRestore(Tree t) { target = std::move(t); }
  /// Orbax's transforms (codecs/key_transform.h); need a target. What rules and the target leave
  /// unused is not read. A rule's functions are called on worker threads, for one leaf at a time,
  /// with the saved values; what they return is cast, and cut off or filled up, as a saved leaf is.
  /// A leaf that keeps the target's own value has to have one: not a LeafSpec. With rules, or
  /// Unmatched::target, saved leaves that nothing takes are no error.
  std::vector<TransformRule> transforms;
  Unmatched unmatched = Unmatched::saved;
};

}  // namespace cairn::args
