#pragma once
// Key paths, merged into the tree that they describe. It finds what cannot be one tree: a path
// given twice, a path that goes through a leaf, keys of both kinds in one node, a sequence with
// gaps.

#include <cairn/codecs/tree.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// Not thread-safe. Time and memory are linear in the keys of all paths.
class PathTrie {
 public:
  using NodeId = std::uint32_t;
  static constexpr NodeId kRoot = 0;

  /// `structure` is what errors name. The paths of `entries` must outlive the trie, which borrows
  /// them.
  explicit PathTrie(std::string structure);

  /// Throws FormatError when `path` does not fit those before it. `entry` comes back from
  /// entry_of().
  void add(const KeyPath& path, std::size_t entry);
  /// Throws FormatError unless every sequence has the indices 0 to n-1, each once.
  void check_sequences() const;

  [[nodiscard]] bool empty() const noexcept { return !nodes_[kRoot].used; }
  /// True for a path's end, false for a node on the way.
  [[nodiscard]] bool is_entry(NodeId node) const { return nodes_[node].entry != kNoEntry; }
  [[nodiscard]] std::size_t entry_of(NodeId node) const { return nodes_[node].entry; }
  [[nodiscard]] Key::Kind kind_of_children(NodeId node) const { return nodes_[node].kind; }
  [[nodiscard]] std::string_view name_of(NodeId node) const { return nodes_[node].name; }
  /// In the order in which they first appeared; of a sequence, by index (after check_sequences()).
  [[nodiscard]] std::vector<NodeId> children_of(NodeId node) const;

 private:
  static constexpr std::size_t kNoEntry = static_cast<std::size_t>(-1);
  static constexpr NodeId kNoNode = static_cast<NodeId>(-1);

  struct Node {
    std::string_view name;
    NodeId parent = kNoNode;
    NodeId first_child = kNoNode;
    NodeId last_child = kNoNode;
    NodeId next_sibling = kNoNode;
    std::uint32_t children = 0;
    Key::Kind kind = Key::Kind::dict;  // of the children, if any
    bool used = false;
    std::size_t entry = kNoEntry;
    std::size_t hash = 0;  // of parent and name
  };
  NodeId child(NodeId parent, const Key& key, const KeyPath& path);
  [[nodiscard]] std::size_t slot_of(NodeId parent, std::string_view name, std::size_t hash) const;
  void grow_slots();
  [[nodiscard]] std::string path_to(NodeId node) const;
  [[noreturn]] void fail(const KeyPath& path, std::string found, std::string allowed) const;

  std::string structure_;
  std::vector<Node> nodes_;
  // Nodes by parent and name: open addressing, a power of two, at most half full.
  std::vector<NodeId> slots_;
};

}  // namespace cairn::internal
