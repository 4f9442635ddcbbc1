// Key paths: their names, flatten() and unflatten().

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/path_trie.h>
#include <cairn/codecs/tree.h>

#include <stdexcept>

namespace cairn {
namespace {

using internal::PathTrie;

void flatten_into(const Tree& tree, KeyPath& path, std::vector<FlatEntry>& entries) {
  if (path.size() > kMaxTreeDepth) {
    throw std::invalid_argument("tree is nested more than " + std::to_string(kMaxTreeDepth) +
                                " deep at " + to_string(KeyPath(path.begin(), path.begin() + 3)) +
                                "/...");
  }
  const auto descend = [&](std::string name, Key::Kind kind, const Tree& child) {
    path.emplace_back(std::move(name), kind);
    flatten_into(child, path, entries);
    path.pop_back();
  };
  const auto sequence = [&](const std::vector<Tree>& children) {
    for (std::size_t i = 0; i < children.size(); ++i) {
      descend(std::to_string(i), Key::Kind::sequence, children[i]);
    }
    return !children.empty();
  };
  if (const auto* dict = std::get_if<Dict>(&tree.value())) {
    for (const auto& [name, child] : *dict) descend(name, Key::Kind::dict, child);
    if (!dict->empty()) return;
  } else if (const auto* list = std::get_if<List>(&tree.value())) {
    if (sequence(*list)) return;
  } else if (const auto* tuple = std::get_if<Tuple>(&tree.value())) {
    if (sequence(*tuple)) return;
  }
  entries.emplace_back(path, &tree);
}

// Recursion is bounded by kMaxTreeDepth, which the trie has checked.
Tree build(const PathTrie& trie, PathTrie::NodeId node,
           std::vector<std::pair<KeyPath, Tree>>& entries) {
  if (trie.is_entry(node)) return std::move(entries[trie.entry_of(node)].second);
  const auto children = trie.children_of(node);
  if (trie.kind_of_children(node) == Key::Kind::sequence) {
    List list;
    list.reserve(children.size());
    for (const auto child : children) list.push_back(build(trie, child, entries));
    return list;
  }
  Dict dict;
  for (const auto child : children) dict[trie.name_of(child)] = build(trie, child, entries);
  return dict;
}

}  // namespace

std::string dotted_name(const KeyPath& path) {
  std::size_t size = path.size();
  for (const Key& key : path) size += key.name.size();
  std::string name;
  name.reserve(size);
  for (const Key& key : path) {
    if (&key != path.data()) name += '.';
    name += key.name;
  }
  return name;
}

std::string to_string(const KeyPath& path) {
  if (path.empty()) return "(root)";
  std::string text;
  for (const Key& key : path) {
    if (key.kind == Key::Kind::sequence) {
      text += '[' + key.name + ']';
    } else {
      if (!text.empty()) text += '/';
      text += key.name.empty() ? "\"\"" : key.name;
    }
  }
  return text;
}

std::vector<FlatEntry> flatten(const Tree& tree) {
  std::vector<FlatEntry> entries;
  KeyPath path;
  flatten_into(tree, path, entries);
  return entries;
}

Tree unflatten(std::vector<std::pair<KeyPath, Tree>> entries) {
  PathTrie trie("tree");
  for (std::size_t i = 0; i < entries.size(); ++i) trie.add(entries[i].first, i);
  trie.check_sequences();
  if (trie.empty()) return Dict();
  return build(trie, PathTrie::kRoot, entries);
}

}  // namespace cairn
