#pragma once
// The tree that is saved: what JAX calls a PyTree. Dictionaries keep the order of their keys.

#include <cairn/codecs/array.h>
#include <cairn/codecs/leaf.h>
#include <cairn/export.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cairn {

class Tree;

struct Null {
  friend bool operator==(Null, Null) { return true; }
};

/// One step from a node to its child, as Orbax's key_metadata has it.
struct Key {
  enum class Kind : std::uint8_t { sequence = 1, dict = 2 };  ///< Orbax's key_type
  Key(std::string n, Kind k) : name(std::move(n)), kind(k) {}
  std::string name;  ///< a sequence index in decimal
  Kind kind;
  friend bool operator==(const Key&, const Key&) = default;
};
using KeyPath = std::vector<Key>;

/// Key names joined by ".": Orbax's parameter name. A bare leaf has the empty name.
[[nodiscard]] CAIRN_EXPORT std::string dotted_name(const KeyPath& path);
/// For people: a/b[3]/c.
[[nodiscard]] CAIRN_EXPORT std::string to_string(const KeyPath& path);

/// Ordered string -> Tree. Setting an existing key replaces its value in place.
class CAIRN_EXPORT Dict {
 public:
  using value_type = std::pair<std::string, Tree>;
  Dict();
  Dict(std::initializer_list<value_type> entries);
  Dict(const Dict&);
  Dict(Dict&&) noexcept;
  Dict& operator=(const Dict&);
  Dict& operator=(Dict&&) noexcept;
  ~Dict();
  Tree& operator[](std::string_view key);  ///< inserts null at the end when absent
  [[nodiscard]] const Tree* find(std::string_view key) const noexcept;
  [[nodiscard]] Tree* find(std::string_view key) noexcept;
  /// Throws std::out_of_range naming the key and the keys there are (at most ten).
  [[nodiscard]] const Tree& at(std::string_view key) const;
  [[nodiscard]] Tree& at(std::string_view key);
  bool erase(std::string_view key);
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] const value_type* begin() const noexcept;
  [[nodiscard]] const value_type* end() const noexcept;
  [[nodiscard]] value_type* begin() noexcept;
  [[nodiscard]] value_type* end() noexcept;
  friend CAIRN_EXPORT bool operator==(const Dict&, const Dict&);

 private:
  struct Entries;  // vector plus an index once it is large: lookup is O(1)
  std::unique_ptr<Entries> entries_;
};

struct List : std::vector<Tree> {
  using std::vector<Tree>::vector;
};
struct Tuple : std::vector<Tree> {
  using std::vector<Tree>::vector;
};

/// A node. Regular value; moving is O(1).
class CAIRN_EXPORT Tree {
 public:
  using Value = std::variant<Null, bool, std::int64_t, std::uint64_t, double, std::string, Array,
                             ArrayView, Leaf, Dict, List, Tuple>;
  Tree() = default;  ///< null
  Tree(Null) {}
  Tree(bool v);
  Tree(std::signed_integral auto v);    // int64; see the constraints in the definition
  Tree(std::unsigned_integral auto v);  // uint64 (but bool is bool)
  Tree(std::floating_point auto v);     // double
  Tree(std::string v);
  Tree(const char* v);
  Tree(Array v);
  Tree(ArrayView v);
  Tree(Leaf v);
  Tree(Dict v);
  Tree(List v);
  Tree(Tuple v);

  [[nodiscard]] const Value& value() const noexcept { return value_; }
  [[nodiscard]] Value& value() noexcept { return value_; }
  /// "dict", "list", "tuple", "null", "bool", "int", "uint", "float", "string", "array", "view", "leaf".
  [[nodiscard]] std::string_view kind() const noexcept;
  template <class T>
  [[nodiscard]] bool is() const noexcept { return std::holds_alternative<T>(value_); }
  /// Throws std::invalid_argument naming both kinds.
  template <class T>
  [[nodiscard]] const T& as() const;
  template <class T>
  [[nodiscard]] T& as();
  /// Child of a dict by name; throws as Dict::at does, or std::invalid_argument on another kind.
  [[nodiscard]] const Tree& at(std::string_view key) const;
  [[nodiscard]] Tree& at(std::string_view key);
  /// Child of a list or tuple.
  [[nodiscard]] const Tree& at(std::size_t index) const;
  [[nodiscard]] Tree& at(std::size_t index);

  friend CAIRN_EXPORT bool operator==(const Tree& a, const Tree& b);

 private:
  Value value_;
};

/// A leaf or an empty container (an empty dict, list or tuple, or null) with its path.
struct FlatEntry {
  FlatEntry(KeyPath p, const Tree* n) : path(std::move(p)), node(n) {}
  KeyPath path;
  const Tree* node;  ///< borrowed from the tree that was flattened
};
/// Depth first, in the tree's order. Throws std::invalid_argument at a nesting above kMaxTreeDepth.
[[nodiscard]] CAIRN_EXPORT std::vector<FlatEntry> flatten(const Tree& tree);
inline constexpr std::size_t kMaxTreeDepth = 512;

/// Rebuilds a tree from paths and values: containers come from the kinds of the keys (sequences become
/// lists). Throws FormatError on a sequence with gaps, a path that is another's prefix, or a duplicate.
[[nodiscard]] CAIRN_EXPORT Tree unflatten(std::vector<std::pair<KeyPath, Tree>> entries);

}  // namespace cairn
