#pragma once
// Whether a saved tree fits the target of a restore, and where it does not.

#include <cairn/codecs/array.h>
#include <cairn/codecs/orbax.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cairn {

/// A leaf or an empty container of a saved tree, as its metadata has it.
struct SavedLeaf {
  SavedLeaf(KeyPath p, orbax::ValueType t) : path(std::move(p)), type(t) {}
  SavedLeaf(KeyPath p, orbax::ValueType t, DType d, Shape s)
      : path(std::move(p)), type(t), dtype(d), shape(std::move(s)) {}
  KeyPath path;
  orbax::ValueType type;
  std::optional<DType> dtype;  ///< of arrays and numbers
  std::optional<Shape> shape;  ///< likewise
};

/// What counts as a shape that fits.
enum class ShapeRule : std::uint8_t {
  equal,
  same_rank  ///< where arrays are to be cut off or padded
};

/// In the order of the tree that has the path. A leaf or an empty container is named by its path.
struct TreeDiff {
  struct Mismatch {
    Mismatch(KeyPath p, std::string s, std::string t)
        : path(std::move(p)), saved(std::move(s)), target(std::move(t)) {}
    KeyPath path;        ///< of the node, in both trees
    std::string saved;   ///< what it is there, in words: "float32[2, 3]", "a dict of 2"
    std::string target;  ///< likewise
    friend bool operator==(const Mismatch&, const Mismatch&) = default;
  };
  std::vector<KeyPath> missing;  ///< in the target, not saved
  std::vector<KeyPath> extra;    ///< saved, not in the target
  std::vector<Mismatch> mismatched;
  [[nodiscard]] bool empty() const noexcept {
    return missing.empty() && extra.empty() && mismatched.empty();
  }
};

/// Compares level by level: below a node that differs nothing is compared. What fits:
///  - a placeholder: anything, with all that is below it, and nothing too;
///  - a LeafSpec with neither dtype nor shape: any leaf with data; one with either: as an array;
///  - an array, a view, a leaf, a number: an array or number that is castable() to its dtype, of
///  its
///    shape (a number's is that of rank 0);
///  - a dict: a dict; a list or tuple: a list or tuple (Orbax saves a named tuple as a dict, and an
///    empty one fits both); a string: a string; null: null.
/// Throws FormatError where the saved paths do not make a tree, std::invalid_argument where the
/// target is nested more than kMaxTreeDepth deep.
[[nodiscard]] CAIRN_EXPORT TreeDiff diff_trees(const std::vector<SavedLeaf>& saved,
                                               const Tree& target,
                                               ShapeRule shapes = ShapeRule::equal);

inline constexpr std::size_t kDiffLinesMax = 10;  ///< for each of the three lists

/// For people: each list under its heading, a line for each path, and "... and N more" for those
/// above `lines_max`. Ends without a newline; empty for no difference.
[[nodiscard]] CAIRN_EXPORT std::string to_string(const TreeDiff& diff,
                                                 std::size_t lines_max = kDiffLinesMax);

}  // namespace cairn
