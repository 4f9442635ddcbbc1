#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/path_trie.h>

#include <charconv>

namespace cairn::internal {
namespace {

constexpr std::size_t kFewestSlots = 64;

// The index that `name` spells, or `count` when it spells none below that. "07" is another name
// than "7".
std::size_t sequence_index(std::string_view name, std::size_t count) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool canonical = error == std::errc() && end == name.data() + name.size() &&
                         (name.size() == 1 || name.front() != '0');
  return canonical && index < count ? index : count;
}

std::size_t hash_of(PathTrie::NodeId parent, std::string_view name) {
  constexpr std::size_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio spreads small numbers
  return std::hash<std::string_view>()(name) ^ (parent * kGolden);
}

}  // namespace

PathTrie::PathTrie(std::string structure)
    : structure_(std::move(structure)), nodes_(1), slots_(kFewestSlots, kNoNode) {}

void PathTrie::fail(const KeyPath& path, std::string found, std::string allowed) const {
  throw FormatError(structure_, "entry " + to_string(path), std::move(found), std::move(allowed));
}

std::string PathTrie::path_to(NodeId node) const {
  KeyPath path;
  for (; node != kRoot; node = nodes_[node].parent) {
    path.emplace_back(std::string(nodes_[node].name), nodes_[nodes_[node].parent].kind);
  }
  return to_string(KeyPath(path.rbegin(), path.rend()));
}

void PathTrie::add(const KeyPath& path, std::size_t entry) {
  if (path.size() > kMaxTreeDepth) {
    fail(KeyPath(path.begin(), path.begin() + 3),
         "a path of " + std::to_string(path.size()) + " keys",
         "at most " + std::to_string(kMaxTreeDepth));
  }
  NodeId node = kRoot;
  for (const Key& key : path) {
    if (is_entry(node)) {
      fail(path, "a path through the leaf " + path_to(node), "leaves without children");
    }
    node = child(node, key, path);
  }
  if (is_entry(node)) fail(path, "the same path twice", "every path once");
  if (nodes_[node].first_child != kNoNode) {
    fail(path, "a leaf that other paths go through", "leaves without children");
  }
  nodes_[node].used = true;
  nodes_[node].entry = entry;
  nodes_[kRoot].used = true;
}

PathTrie::NodeId PathTrie::child(NodeId parent, const Key& key, const KeyPath& path) {
  if (nodes_[parent].first_child == kNoNode) nodes_[parent].kind = key.kind;
  if (nodes_[parent].kind != key.kind) {
    fail(path, "sequence and dict keys under " + path_to(parent), "keys of one kind in a node");
  }
  // Neighbours usually share all but their last key.
  const NodeId last = nodes_[parent].last_child;
  if (last != kNoNode && nodes_[last].name == key.name) return last;
  const std::size_t hash = hash_of(parent, key.name);
  const std::size_t slot = slot_of(parent, key.name, hash);
  if (slots_[slot] != kNoNode) return slots_[slot];
  const auto next = static_cast<NodeId>(nodes_.size());
  Node node;
  node.name = key.name;
  node.parent = parent;
  node.hash = hash;
  nodes_.push_back(node);
  slots_[slot] = next;
  (last == kNoNode ? nodes_[parent].first_child : nodes_[last].next_sibling) = next;
  nodes_[parent].last_child = next;
  ++nodes_[parent].children;
  if (nodes_.size() * 2 > slots_.size()) grow_slots();
  return next;
}

// Where the node is, or would go.
std::size_t PathTrie::slot_of(NodeId parent, std::string_view name, std::size_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    if (slots_[slot] == kNoNode) return slot;
    const Node& node = nodes_[slots_[slot]];
    if (node.hash == hash && node.parent == parent && node.name == name) return slot;
  }
}

void PathTrie::grow_slots() {
  slots_.assign(slots_.size() * 4, kNoNode);
  for (NodeId node = 1; node < nodes_.size(); ++node) {
    std::size_t slot = nodes_[node].hash & (slots_.size() - 1);
    while (slots_[slot] != kNoNode) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = node;
  }
}

void PathTrie::check_sequences() const {
  for (NodeId node = 0; node < nodes_.size(); ++node) {
    const Node& parent = nodes_[node];
    if (parent.first_child == kNoNode || parent.kind != Key::Kind::sequence) continue;
    // Names differ, so n of them below n are all the indices there are.
    for (NodeId i = parent.first_child; i != kNoNode; i = nodes_[i].next_sibling) {
      if (sequence_index(nodes_[i].name, parent.children) < parent.children) continue;
      throw FormatError(structure_, "sequence " + path_to(node),
                        "index \"" + std::string(nodes_[i].name) + "\" among " +
                            std::to_string(parent.children) + " elements",
                        "the indices 0 to n-1 of n elements, without gaps");
    }
  }
}

std::vector<PathTrie::NodeId> PathTrie::children_of(NodeId node) const {
  const Node& parent = nodes_[node];
  std::vector<NodeId> children(parent.children);
  std::size_t position = 0;
  for (NodeId i = parent.first_child; i != kNoNode; i = nodes_[i].next_sibling) {
    const bool sequence = parent.kind == Key::Kind::sequence;
    children[sequence ? sequence_index(nodes_[i].name, parent.children) : position++] = i;
  }
  return children;
}

}  // namespace cairn::internal
