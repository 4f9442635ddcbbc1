#include <cairn/codecs/cast.h>
#include <cairn/codecs/internal/path_trie.h>
#include <cairn/codecs/internal/readable.h>
#include <cairn/codecs/tree_diff.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

namespace cairn {
namespace {

using internal::PathTrie;
using orbax::ValueType;

enum class NodeKind : std::uint8_t { array, string, null, dict, sequence };

std::string array_text(DType dtype, const Shape& shape) {
  return fmt::format("{}[{}]", name_of(dtype), fmt::join(shape, ", "));
}

// Of a node of the target. A spec of anything, which the caller looks at first, counts as an array.
NodeKind kind_of(const Tree& node) {
  if (node.is<Dict>()) return NodeKind::dict;
  if (node.is<List>() || node.is<Tuple>()) return NodeKind::sequence;
  if (node.is<Null>()) return NodeKind::null;
  return node.is<std::string>() ? NodeKind::string : NodeKind::array;
}

// Children of a list or tuple; null for any other node.
const std::vector<Tree>* elements_of(const Tree& node) {
  if (const auto* list = std::get_if<List>(&node.value())) return list;
  return std::get_if<Tuple>(&node.value());
}

// What the target wants of an array or number.
LeafSpec wanted(const Tree& node) {
  const Tree::Value& value = node.value();
  if (const auto* spec = std::get_if<LeafSpec>(&value)) return *spec;
  if (const auto view = view_of(node)) return {view->dtype(), view->shape()};
  if (const auto* leaf = std::get_if<Leaf>(&value)) return {leaf->dtype(), leaf->shape()};
  if (node.is<bool>()) return {DType::boolean, {}};
  if (node.is<std::int64_t>()) return {DType::int64, {}};
  return {node.is<std::uint64_t>() ? DType::uint64 : DType::float64, {}};
}

std::string text_of(const Tree& node) {
  switch (kind_of(node)) {
    case NodeKind::dict:
      return fmt::format("a dict of {}", node.as<Dict>().size());
    case NodeKind::sequence:
      return fmt::format("a {} of {}", node.kind(), elements_of(node)->size());
    case NodeKind::null:
      return "null";
    case NodeKind::string:
      return "a string";
    case NodeKind::array:
      break;
  }
  return to_string(wanted(node));
}

// Walks both trees at once. Recursion is bounded by kMaxTreeDepth: the target's depth is checked
// here.
class Comparison {
 public:
  Comparison(const std::vector<SavedLeaf>& saved, ShapeRule shapes)
      : saved_(saved), shapes_(shapes) {
    for (std::size_t i = 0; i < saved.size(); ++i) trie_.add(saved[i].path, i);
    trie_.check_sequences();
  }

  TreeDiff run(const Tree& target) {
    compare(target, PathTrie::kRoot);
    return std::move(diff_);
  }

 private:
  using NodeId = PathTrie::NodeId;

  void compare(const Tree& target, NodeId node) {
    const auto* spec = std::get_if<LeafSpec>(&target.value());
    if (spec != nullptr && spec->is_placeholder()) return;
    const bool leaf = trie_.is_entry(node);
    const SavedLeaf* saved = leaf ? &saved_[trie_.entry_of(node)] : nullptr;
    const bool anything = spec != nullptr && !spec->dtype() && !spec->shape();
    if (leaf && anything && !orbax::is_empty(saved->type)) return;
    const NodeKind kind = kind_of(target);
    if (!fits(kind, node, saved)) {
      add_mismatch(target, node);
    } else if (kind == NodeKind::dict || kind == NodeKind::sequence) {
      compare_children(target, node);
    } else if (kind == NodeKind::array && !fits(wanted(target), *saved)) {
      add_mismatch(target, node);
    }
  }

  // Whether nodes are of one kind.
  [[nodiscard]] bool fits(NodeKind kind, NodeId node, const SavedLeaf* saved) const {
    if (saved == nullptr) {
      const bool sequence = trie_.kind_of_children(node) == Key::Kind::sequence;
      return kind == (sequence ? NodeKind::sequence : NodeKind::dict);
    }
    switch (saved->type) {
      case ValueType::jax_array:
      case ValueType::np_ndarray:
      case ValueType::scalar:
        return kind == NodeKind::array;
      case ValueType::string:
        return kind == NodeKind::string;
      case ValueType::none:
        return kind == NodeKind::null;
      case ValueType::empty_dict:
        return kind == NodeKind::dict;
      case ValueType::empty_list:
      case ValueType::empty_tuple:
        return kind == NodeKind::sequence;
      case ValueType::foreign:
        return false;
      case ValueType::empty_named_tuple:
        break;
    }
    return kind == NodeKind::dict || kind == NodeKind::sequence;
  }

  [[nodiscard]] bool fits(const LeafSpec& target, const SavedLeaf& saved) const {
    if (target.dtype() && saved.dtype && !castable(*saved.dtype, *target.dtype())) return false;
    if (!target.shape() || !saved.shape) return true;
    return shapes_ == ShapeRule::equal ? *target.shape() == *saved.shape
                                       : target.shape()->size() == saved.shape->size();
  }

  void compare_children(const Tree& target, NodeId node) {
    std::vector<NodeId> children;
    if (!trie_.is_entry(node)) children = trie_.children_of(node);
    std::unordered_map<std::string_view, NodeId> by_name;
    by_name.reserve(children.size());
    for (const NodeId child : children) by_name.emplace(trie_.name_of(child), child);
    const auto visit = [&](const std::string& name, Key::Kind kind, const Tree& child) {
      enter(name, kind);
      const auto found = by_name.find(name);
      if (found == by_name.end()) {
        add_missing(child);
      } else {
        compare(child, found->second);
        by_name.erase(found);
      }
      path_.pop_back();
    };
    for_each_child(target, visit);
    for (const NodeId child : children) {
      if (by_name.contains(trie_.name_of(child))) add_extra(child);
    }
  }

  template <class Visit>
  static void for_each_child(const Tree& node, const Visit& visit) {
    if (const auto* dict = std::get_if<Dict>(&node.value())) {
      for (const auto& [name, child] : *dict) visit(name, Key::Kind::dict, child);
    } else if (const auto* elements = elements_of(node)) {
      for (std::size_t i = 0; i < elements->size(); ++i) {
        visit(std::to_string(i), Key::Kind::sequence, (*elements)[i]);
      }
    }
  }

  void enter(const std::string& name, Key::Kind kind) {
    path_.emplace_back(name, kind);
    if (path_.size() <= kMaxTreeDepth) return;
    throw std::invalid_argument(fmt::format("target is nested more than {} deep at {}/...",
                                            kMaxTreeDepth,
                                            to_string(KeyPath(path_.begin(), path_.begin() + 3))));
  }

  // The leaves of the target at and below the current path, except placeholders.
  void add_missing(const Tree& target) {
    const auto* spec = std::get_if<LeafSpec>(&target.value());
    if (spec != nullptr && spec->is_placeholder()) return;
    bool leaf = true;
    for_each_child(target, [&](const std::string& name, Key::Kind kind, const Tree& child) {
      leaf = false;
      enter(name, kind);
      add_missing(child);
      path_.pop_back();
    });
    if (leaf) diff_.missing.push_back(path_);
  }

  void add_extra(NodeId node) {
    if (trie_.is_entry(node)) {
      diff_.extra.push_back(saved_[trie_.entry_of(node)].path);
      return;
    }
    for (const NodeId child : trie_.children_of(node)) add_extra(child);
  }

  void add_mismatch(const Tree& target, NodeId node) {
    diff_.mismatched.emplace_back(path_, saved_text(node), text_of(target));
  }

  [[nodiscard]] std::string saved_text(NodeId node) const {
    if (!trie_.is_entry(node)) {
      const bool sequence = trie_.kind_of_children(node) == Key::Kind::sequence;
      return fmt::format("a {} of {}", sequence ? "list" : "dict", trie_.children_of(node).size());
    }
    const SavedLeaf& saved = saved_[trie_.entry_of(node)];
    switch (saved.type) {
      case ValueType::jax_array:
      case ValueType::np_ndarray:
      case ValueType::scalar:
        break;
      case ValueType::string:
        return "a string";
      case ValueType::foreign:
        return "a leaf of a foreign type";
      case ValueType::none:
        return "null";
      case ValueType::empty_dict:
        return "a dict of 0";
      case ValueType::empty_list:
        return "a list of 0";
      case ValueType::empty_tuple:
      case ValueType::empty_named_tuple:
        return "a tuple of 0";
    }
    return saved.dtype && saved.shape ? array_text(*saved.dtype, *saved.shape) : "an array";
  }

  const std::vector<SavedLeaf>& saved_;
  const ShapeRule shapes_;
  PathTrie trie_{"saved tree"};
  KeyPath path_;
  TreeDiff diff_;
};

template <class Entry, class Line>
void append_list(std::string& text, const std::vector<Entry>& entries, const char* one,
                 const char* several, std::size_t lines_max, const Line& line) {
  if (entries.empty()) return;
  if (!text.empty()) text += '\n';
  text += fmt::format("{} {}:", entries.size(), entries.size() == 1 ? one : several);
  const std::size_t shown = std::min(entries.size(), lines_max);
  for (std::size_t i = 0; i < shown; ++i) text += "\n  " + line(entries[i]);
  if (shown < entries.size()) text += fmt::format("\n  ... and {} more", entries.size() - shown);
}

}  // namespace

TreeDiff diff_trees(const std::vector<SavedLeaf>& saved, const Tree& target, ShapeRule shapes) {
  // A tree without paths is an empty dict, as unflatten() has it.
  if (saved.empty()) return diff_trees({{{}, ValueType::empty_dict}}, target, shapes);
  return Comparison(saved, shapes).run(target);
}

std::string to_string(const TreeDiff& diff, std::size_t lines_max) {
  std::string text;
  const auto path = [](const KeyPath& p) { return internal::readable(to_string(p)); };
  append_list(text, diff.missing, "key path of the target is not saved",
              "key paths of the target are not saved", lines_max, path);
  append_list(text, diff.extra, "saved key path is not in the target",
              "saved key paths are not in the target", lines_max, path);
  append_list(text, diff.mismatched, "key path differs", "key paths differ", lines_max,
              [&](const TreeDiff::Mismatch& m) {
                return fmt::format("{}: saved {}, target {}", path(m.path), m.saved, m.target);
              });
  return text;
}

}  // namespace cairn
