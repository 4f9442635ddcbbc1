#pragma once
// A restore into a target: which saved leaf feeds which leaf of the target, whether it fits, and
// where its elements go. Pure; runs on the CPU pool.

#include <cairn/codecs/tree_diff.h>
#include <cairn/manager/args.h>
#include <cairn/manager/internal/box_copy.h>
#include <cairn/manager/internal/item_index.h>

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace cairn::internal {

/// What args::StandardRestore and args::PyTreeRestore ask for.
struct TargetRequest {
  explicit TargetRequest(args::StandardRestore how);
  explicit TargetRequest(args::PyTreeRestore how);
  Tree target;
  bool strict = true;
  bool partial = false;
  bool strings = false;  ///< may be leaves of the target
  std::vector<TransformRule> transforms;
  Unmatched unmatched = Unmatched::saved;
  /// Feeds are found by the rules of transforms, and not each leaf's by its own path.
  [[nodiscard]] bool transformed() const noexcept {
    return !transforms.empty() || unmatched == Unmatched::target;
  }
};

/// What a restore of a tree asks for.
using TreeRequest = std::variant<Selections, TargetRequest>;
/// Everything, where `how` is not about trees. Throws Error(invalid_argument) on what contradicts
/// itself.
[[nodiscard]] TreeRequest tree_request(args::ItemRestore how);

/// The memory that a leaf's elements go to.
struct TargetPlace {
  TargetPlace(Shape s, LoadTarget m) : shape(std::move(s)), memory(std::move(m)) {}
  Shape shape;
  LoadTarget memory;
};

/// A leaf of the target that something is read for: make_place(), its elements are put there,
/// finish().
class TargetLeaf {
 public:
  TargetLeaf(KeyPath p, Tree* n, LeafFeed f) : path(std::move(p)), node(n), feed(std::move(f)) {}
  KeyPath path;
  Tree* node;  ///< in the target
  LeafFeed feed;

  /// A spec that leaves everything open.
  [[nodiscard]] bool takes_anything() const;
  /// dtype and shape of what it will hold, of elements of these.
  [[nodiscard]] LeafSpec wanted(DType saved, const Shape& saved_shape) const;
  /// Where elements of this dtype and shape go: the target's own memory, or an array made for them,
  /// with undefined elements.
  [[nodiscard]] TargetPlace make_place(DType saved, const Shape& saved_shape);
  /// Bytes that make_place() will allocate.
  [[nodiscard]] std::size_t bytes_to_make(DType saved, const Shape& saved_shape) const;
  /// Puts what was made into the target, as a number where it has one. `as_saved`: the value of a
  /// leaf whose spec leaves everything open, made of the array.
  using AsSaved = std::function<Tree(Array)>;
  void finish(const AsSaved& as_saved);

 private:
  std::optional<Array> made_;
};

class TargetPlan {
 public:
  /// `index` lives meanwhile; it need not be open yet.
  TargetPlan(TargetRequest request, const ItemIndex& index)
      : request_(std::move(request)), index_(index) {}
  TargetPlan(const TargetPlan&) = delete;
  TargetPlan& operator=(const TargetPlan&) = delete;

  /// The leaves that the target needs, as LeafChooser has it. Throws Error(invalid_argument).
  [[nodiscard]] std::vector<Chosen> choose(const std::vector<KeyPath>& paths,
                                           const std::vector<orbax::ValueType>& types);
  /// When the index has what was chosen, or every leaf. Throws Error(invalid_argument) with the
  /// whole difference where it does not fit the target.
  void settle();

  [[nodiscard]] std::vector<TargetLeaf>& leaves() noexcept { return leaves_; }
  [[nodiscard]] const TransformRule* rule_of(const TargetLeaf& leaf) const;
  /// The leaf's sources; after settle().
  [[nodiscard]] std::vector<const StoredLeaf*> sources(const TargetLeaf& leaf) const;
  /// A value that a rule's function made: throws where it does not fit the leaf.
  void check_value(const TargetLeaf& leaf, const Tree& value) const;
  [[nodiscard]] Tree take_target() { return std::move(request_.target); }
  /// About a leaf of the target. Throws Error(invalid_argument).
  [[noreturn]] void refuse(const KeyPath& path, std::string reason, std::string remedy = "") const;

 private:
  void check_leaf(const FlatEntry& entry) const;
  [[nodiscard]] std::vector<LeafFeed> feeds_of(const std::vector<FlatEntry>& wanted) const;
  [[nodiscard]] std::vector<LeafFeed> feeds_by_path(const std::vector<FlatEntry>& wanted) const;
  [[nodiscard]] const StoredLeaf& stored(std::size_t saved) const;
  [[nodiscard]] TreeDiff difference() const;
  [[nodiscard]] ShapeRule shapes() const noexcept {
    return request_.strict ? ShapeRule::equal : ShapeRule::same_rank;
  }

  TargetRequest request_;
  const ItemIndex& index_;
  std::vector<SavedLeaf> saved_;     ///< all; dtypes and shapes of those that were chosen
  std::vector<std::size_t> chosen_;  ///< among them, ascending
  std::vector<TargetLeaf> leaves_;
};

/// Whether the rule has a function that makes the leaf's value.
[[nodiscard]] bool has_function(const TransformRule* rule);
/// Elements of `from` to a place, cast; cut off and filled up with zeros where shapes differ.
void copy_to_place(const ArrayView& from, const TargetPlace& to);
/// The extents that two shapes of one rank share.
[[nodiscard]] Shape common_shape(const Shape& a, const Shape& b);

}  // namespace cairn::internal
