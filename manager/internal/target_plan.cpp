#include <cairn/codecs/cast.h>
#include <cairn/manager/array_item.h>
#include <cairn/manager/internal/target_plan.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>
#include <unordered_map>

namespace cairn::internal {
namespace {

bool has_data(orbax::ValueType type) {
  return !orbax::is_empty(type);
}

bool is_empty_node(const Tree& node) {
  return node.is<Null>() || node.is<Dict>() || node.is<List>() || node.is<Tuple>();
}

bool is_placeholder(const Tree& node) {
  const auto* spec = std::get_if<LeafSpec>(&node.value());
  return spec != nullptr && spec->is_placeholder();
}

/// Leaves of the target that something may be read for.
std::vector<FlatEntry> wanted_leaves(const Tree& target) {
  std::vector<FlatEntry> entries = flatten(target);
  std::erase_if(entries, [](const FlatEntry& entry) {
    return is_empty_node(*entry.node) || is_placeholder(*entry.node);
  });
  return entries;
}

/// A leaf by itself against the node that it is to fill.
void compare(const SavedLeaf& saved, const KeyPath& path, const Tree& node, ShapeRule shapes,
             TreeDiff& diff) {
  SavedLeaf bare = saved;
  bare.path.clear();
  TreeDiff one = diff_trees({std::move(bare)}, node, shapes);
  for (TreeDiff::Mismatch& mismatch : one.mismatched) {
    mismatch.path = path;
    diff.mismatched.push_back(std::move(mismatch));
  }
}

/// dtype of a number's elements.
DType number_type(const Tree& node) {
  if (node.is<bool>()) return DType::boolean;
  if (node.is<std::int64_t>()) return DType::int64;
  return node.is<std::uint64_t>() ? DType::uint64 : DType::float64;
}

}  // namespace

TargetRequest::TargetRequest(args::StandardRestore how)
    : target(std::move(*how.target)), strict(how.strict), partial(how.partial_restore) {}

TargetRequest::TargetRequest(args::PyTreeRestore how)
    : target(std::move(*how.target)),
      strict(how.strict),
      partial(how.partial_restore),
      strings(true),
      transforms(std::move(how.transforms)),
      unmatched(how.unmatched) {}

namespace {

/// Whether it is into a target.
bool has_target(const args::TreeRestore& how, bool transformed) {
  const char* fault = nullptr;
  if (how.target && !how.selection.empty()) {
    fault =
        "a restore has a target or a selection; restore the selection alone, and cast what comes "
        "(codecs/cast.h)";
  }
  if (!how.target && transformed) fault = "transforms need a target";
  if (!how.target && how.partial_restore) fault = "partial_restore needs a target";
  if (fault != nullptr) throw Error(ErrorCode::invalid_argument, fault);
  return how.target.has_value();
}

}  // namespace

TreeRequest tree_request(args::ItemRestore how) {
  if (auto* standard = how.get_if<args::StandardRestore>()) {
    if (has_target(*standard, false)) return TargetRequest(std::move(*standard));
    return std::move(standard->selection);
  }
  if (auto* pytree = how.get_if<args::PyTreeRestore>()) {
    const bool transformed = !pytree->transforms.empty() || pytree->unmatched == Unmatched::target;
    if (has_target(*pytree, transformed)) return TargetRequest(std::move(*pytree));
    return std::move(pytree->selection);
  }
  Selections selections;
  const auto* array = how.get_if<args::ArrayRestore>();
  if (array != nullptr && array->range) selections.emplace_back(KeyPath(), array->range);
  return selections;
}

// ---- leaves -------------------------------------------------------------------------------------

bool TargetLeaf::takes_anything() const {
  const auto* spec = std::get_if<LeafSpec>(&node->value());
  return spec != nullptr && !spec->dtype() && !spec->shape();
}

LeafSpec TargetLeaf::wanted(DType saved, const Shape& saved_shape) const {
  if (const auto* spec = std::get_if<LeafSpec>(&node->value()))
    return {spec->dtype().value_or(saved), spec->shape().value_or(saved_shape)};
  if (const auto view = view_of(*node)) return {view->dtype(), view->shape()};
  if (const auto* leaf = std::get_if<Leaf>(&node->value())) return {leaf->dtype(), leaf->shape()};
  return {number_type(*node), Shape()};
}

TargetPlace TargetLeaf::make_place(DType saved, const Shape& saved_shape) {
  if (auto* memory = std::get_if<MutableArrayView>(&node->value()))
    return {memory->shape(), LoadTarget(memory->dtype(), memory->data(), memory->strides())};
  if (auto* array = std::get_if<Array>(&node->value()))
    return {array->shape(),
            LoadTarget::dense(array->dtype(), array->bytes().data(), array->shape())};
  const LeafSpec spec = wanted(saved, saved_shape);
  made_ = Array::uninitialized(*spec.dtype(), *spec.shape());
  return {*spec.shape(), LoadTarget::dense(*spec.dtype(), made_->bytes().data(), *spec.shape())};
}

std::size_t TargetLeaf::bytes_to_make(DType saved, const Shape& saved_shape) const {
  if (node->is<MutableArrayView>() || node->is<Array>()) return 0;
  const LeafSpec spec = wanted(saved, saved_shape);
  return byte_count(*spec.dtype(), *spec.shape());
}

void TargetLeaf::finish(const AsSaved& as_saved) {
  if (!made_) return;
  Array array = std::move(*made_);
  made_.reset();
  if (node->is<bool>()) {
    *node = Tree(array.bytes()[0] != std::byte{0});
  } else if (node->is<std::int64_t>()) {
    *node = Tree(array.values<std::int64_t>()[0]);
  } else if (node->is<std::uint64_t>()) {
    *node = Tree(array.values<std::uint64_t>()[0]);
  } else if (node->is<double>()) {
    *node = Tree(array.values<double>()[0]);
  } else {
    *node = takes_anything() ? as_saved(std::move(array)) : Tree(std::move(array));
  }
}

// ---- choosing -----------------------------------------------------------------------------------

void TargetPlan::refuse(const KeyPath& path, std::string reason, std::string remedy) const {
  ErrorContext context;
  context.item = index_.name();
  context.key_path = to_string(path);
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::invalid_argument, std::move(reason), context);
}

void TargetPlan::check_leaf(const FlatEntry& entry) const {
  if (request_.strings || !entry.node->is<std::string>()) return;
  refuse(entry.path, "a string cannot be a leaf of a StandardRestore's target",
         "Use PyTreeRestore, or a LeafSpec() in its place; if it is a path to restore, an "
         "args::Selection of it");
}

std::vector<LeafFeed> TargetPlan::feeds_by_path(const std::vector<FlatEntry>& wanted) const {
  std::unordered_map<std::string, std::size_t> by_path;
  by_path.reserve(saved_.size());
  for (std::size_t i = 0; i < saved_.size(); ++i) by_path.emplace(key_text(saved_[i].path), i);
  std::vector<LeafFeed> feeds(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // What is not there shows in the difference.
    const auto found = by_path.find(key_text(wanted[i].path));
    if (found != by_path.end()) feeds[i].sources.push_back(found->second);
  }
  return feeds;
}

std::vector<LeafFeed> TargetPlan::feeds_of(const std::vector<FlatEntry>& wanted) const {
  if (!request_.transformed()) return feeds_by_path(wanted);
  std::vector<KeyPath> saved;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < saved_.size(); ++i) {
    if (!has_data(saved_[i].type)) continue;
    saved.push_back(saved_[i].path);
    places.push_back(i);
  }
  std::vector<KeyPath> target;
  target.reserve(wanted.size());
  for (const FlatEntry& entry : wanted) target.push_back(entry.path);
  std::vector<LeafFeed> feeds;
  try {
    feeds = plan_transforms(saved, target, request_.transforms, request_.unmatched);
  } catch (const std::invalid_argument& error) {
    ErrorContext context;
    context.item = index_.name();
    throw Error(ErrorCode::invalid_argument, error.what(), context);
  }
  for (LeafFeed& feed : feeds) {
    for (std::size_t& source : feed.sources) source = places[source];
  }
  return feeds;
}

std::vector<Chosen> TargetPlan::choose(const std::vector<KeyPath>& paths,
                                       const std::vector<orbax::ValueType>& types) {
  saved_.reserve(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) saved_.emplace_back(paths[i], types[i]);
  const std::vector<FlatEntry> wanted = wanted_leaves(request_.target);
  for (const FlatEntry& entry : wanted) check_leaf(entry);
  std::vector<LeafFeed> feeds = feeds_of(wanted);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (feeds[i].keeps_target) {
      if (!wanted[i].node->is<LeafSpec>()) continue;
      refuse(wanted[i].path,
             "nothing saved is to feed this leaf, and the target has no value of its own here",
             "Add a rule for it, give it a value, or put a Placeholder() there");
    }
    for (const std::size_t source : feeds[i].sources) {
      if (has_data(saved_[source].type)) chosen_.push_back(source);
    }
    // The target is this plan's own: what flatten() gives as const may be changed.
    leaves_.emplace_back(wanted[i].path, const_cast<Tree*>(wanted[i].node), std::move(feeds[i]));
  }
  std::ranges::sort(chosen_);
  chosen_.erase(std::unique(chosen_.begin(), chosen_.end()), chosen_.end());
  std::vector<Chosen> chosen(chosen_.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i].leaf = chosen_[i];
  return chosen;
}

// ---- fitting ------------------------------------------------------------------------------------

const TransformRule* TargetPlan::rule_of(const TargetLeaf& leaf) const {
  return leaf.feed.rule ? &request_.transforms[*leaf.feed.rule] : nullptr;
}

const StoredLeaf& TargetPlan::stored(std::size_t saved) const {
  const std::vector<StoredLeaf>& there = index_.leaves();
  if (there.size() == saved_.size()) return there[saved];
  const auto place = std::ranges::lower_bound(chosen_, saved) - chosen_.begin();
  return there[static_cast<std::size_t>(place)];
}

std::vector<const StoredLeaf*> TargetPlan::sources(const TargetLeaf& leaf) const {
  std::vector<const StoredLeaf*> sources;
  for (const std::size_t source : leaf.feed.sources) sources.push_back(&stored(source));
  return sources;
}

TreeDiff TargetPlan::difference() const {
  if (!request_.transformed()) {
    TreeDiff diff = diff_trees(saved_, request_.target, shapes());
    if (request_.partial) diff.extra.clear();
    return diff;
  }
  TreeDiff diff;
  for (const TargetLeaf& leaf : leaves_) {
    if (has_function(rule_of(leaf))) continue;
    compare(saved_[leaf.feed.sources.front()], leaf.path, *leaf.node, shapes(), diff);
  }
  return diff;
}

void TargetPlan::settle() {
  assert(index_.leaves().size() == saved_.size() || index_.leaves().size() == chosen_.size());
  for (const std::size_t saved : chosen_) {
    const StoredLeaf& leaf = stored(saved);
    if (!leaf.array) continue;
    saved_[saved].dtype = leaf.array->metadata.dtype;
    saved_[saved].shape = leaf.array->metadata.shape;
  }
  const TreeDiff diff = difference();
  if (diff.empty()) return;
  ErrorContext context;
  context.operation = "restore";
  context.item = index_.name();
  context.path = index_.folder()->path;
  context.remedy =
      "strict = false cuts arrays off or fills them up, partial_restore leaves out what the target "
      "does not have, and a Placeholder() is not read";
  throw Error(ErrorCode::invalid_argument,
              "the saved tree does not fit the target:\n" + to_string(diff), context);
}

void TargetPlan::check_value(const TargetLeaf& leaf, const Tree& value) const {
  if (value.is<Leaf>()) refuse(leaf.path, "a rule's function gave a leaf; it may give arrays");
  TreeDiff diff;
  try {
    SavedLeaf made({}, orbax::value_type_of(value));
    if (const auto view = view_of(value)) {
      made.dtype = view->dtype();
      made.shape = view->shape();
    } else if (made.type == orbax::ValueType::scalar) {
      made.dtype = number_type(value);
      made.shape = Shape();
    }
    compare(made, leaf.path, *leaf.node, shapes(), diff);
  } catch (const std::invalid_argument& error) {
    refuse(leaf.path, std::string("what a rule's function gave cannot be used: ") + error.what());
  }
  if (diff.empty()) return;
  refuse(leaf.path, "what a rule's function gave does not fit: it gave " +
                        diff.mismatched.front().saved + ", the target has " +
                        diff.mismatched.front().target);
}

bool has_function(const TransformRule* rule) {
  return rule != nullptr && (rule->value_function() || rule->combine_function());
}

Shape common_shape(const Shape& a, const Shape& b) {
  Shape common = a;
  for (std::size_t d = 0; d < a.size(); ++d) common[d] = std::min(a[d], b[d]);
  return common;
}

void copy_to_place(const ArrayView& from, const TargetPlace& to) {
  const Shape used = common_shape(from.shape(), to.shape);
  cast_region(from.data(), from.dtype(), from.strides(), used, to.memory.data, to.memory.dtype,
              to.memory.strides);
  zero_beyond(used, to.shape, to.memory);
}

}  // namespace cairn::internal
