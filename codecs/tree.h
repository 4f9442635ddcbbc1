#pragma once
// The tree that is saved, or the target of a restore: what JAX calls a PyTree. Dictionaries keep
// the order of their keys.

#include <cairn/codecs/array.h>
#include <cairn/codecs/dtype.h>
#include <cairn/codecs/leaf.h>
#include <cairn/codecs/leaf_spec.h>
#include <cairn/codecs/mutable_array_view.h>
#include <cairn/export.h>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cairn {

class Tree;

namespace detail {
struct ListInit;  // one element of a braced list, which can be moved from
struct DictInit;
}  // namespace detail

/// Nothing: Python's None.
struct Null {
  friend bool operator==(Null, Null) { return true; }
};

/// One step from a node to its child, as Orbax's key_metadata has it.
struct Key {
  /// Orbax's key_type.
  enum class Kind : std::uint8_t { sequence = 1, dict = 2 };
  Key(std::string n, Kind k) : name(std::move(n)), kind(k) {}
  std::string name;  ///< a sequence index in decimal
  Kind kind;
  friend bool operator==(const Key&, const Key&) = default;
};
using KeyPath = std::vector<Key>;

/// Key names joined by ".": Orbax's parameter name. A bare leaf has the empty name.
[[nodiscard]] CAIRN_EXPORT std::string dotted_name(const KeyPath& path);
/// For people: a/b[3]/c; an empty key is "", with its quotes, and the empty path "(root)".
[[nodiscard]] CAIRN_EXPORT std::string to_string(const KeyPath& path);

/// Ordered string -> Tree. Setting an existing key replaces its value in place. A key must not be
/// changed through an iterator. References to values last until an entry is added or erased.
class CAIRN_EXPORT Dict {
 public:
  /// A key and its value.
  using value_type = std::pair<std::string, Tree>;
  Dict() noexcept;
  /// Dict{{"w", array}, {"n", 3}}: values are moved in; of equal keys the last wins, as in Python.
  Dict(std::initializer_list<detail::DictInit> entries);
  Dict(const Dict&);
  Dict(Dict&&) noexcept;
  Dict& operator=(const Dict&);
  Dict& operator=(Dict&&) noexcept;
  ~Dict();
  Tree& operator[](std::string_view key);  ///< inserts null at the end when absent
  /// The value of a key; null where there is none.
  [[nodiscard]] const Tree* find(std::string_view key) const noexcept;
  [[nodiscard]] Tree* find(std::string_view key) noexcept;
  /// Throws std::out_of_range naming the key and the keys there are (at most ten).
  [[nodiscard]] const Tree& at(std::string_view key) const;
  [[nodiscard]] Tree& at(std::string_view key);
  bool erase(std::string_view key);  ///< O(size): later entries move up

  /// How many entries there are, whether there are none, and the entries in their order.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] const value_type* begin() const noexcept;
  [[nodiscard]] const value_type* end() const noexcept;
  [[nodiscard]] value_type* begin() noexcept;
  [[nodiscard]] value_type* end() noexcept;

  /// The same keys with equal values, in any order: Python's rule.
  friend CAIRN_EXPORT bool operator==(const Dict&, const Dict&);

 private:
  struct Entries;                     // vector plus an index once it is large: lookup is O(1)
  std::unique_ptr<Entries> entries_;  // null when nothing was ever put in
};

/// Python's list. List{1, 2.0, array} moves its elements in.
struct CAIRN_EXPORT List : std::vector<Tree> {
  List() noexcept = default;
  List(std::initializer_list<detail::ListInit> elements);
  explicit List(std::vector<Tree> elements) noexcept;
  explicit List(std::size_t size);  ///< that many nulls
  template <std::input_iterator It>
  List(It first, It last) {
    assign(first, last);
  }
};
/// Python's tuple. Orbax stores its elements as a list's: it comes back as a list, unless it is
/// empty.
struct CAIRN_EXPORT Tuple : std::vector<Tree> {
  Tuple() noexcept = default;
  Tuple(std::initializer_list<detail::ListInit> elements);
  explicit Tuple(std::vector<Tree> elements) noexcept;
  explicit Tuple(std::size_t size);  ///< that many nulls
  template <std::input_iterator It>
  Tuple(It first, It last) {
    assign(first, last);
  }
};

/// A node. Regular value; moving is O(1), and leaves a value of the same kind behind, which is to
/// be assigned to or destroyed.
class CAIRN_EXPORT Tree {
 public:
  /// What a node can be.
  using Value = std::variant<Null, bool, std::int64_t, std::uint64_t, double, std::string, Array,
                             ArrayView, MutableArrayView, Leaf, LeafSpec, Dict, List, Tuple>;
  Tree() noexcept = default;  ///< null
  Tree(Null) noexcept {}
  /// bool alone: a pointer, which would convert to bool, is refused.
  template <std::same_as<bool> T>
  Tree(T v) noexcept : value_(v) {}
  /// Integers become int64 or uint64 by their sign; character types are refused.
  template <detail::Integer T>
  Tree(T v) noexcept
      : value_(
            static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(v)) {}
  /// float and double; a long double would lose digits, and is refused.
  template <std::floating_point T>
  requires(sizeof(T) <= sizeof(double)) Tree(T v)
  noexcept : value_(static_cast<double>(v)) {}
  Tree(std::string v);
  Tree(std::string_view v);
  Tree(const char* v);  ///< a C string; not null
  Tree(std::nullptr_t) = delete;
  Tree(Array v);
  Tree(ArrayView v);
  Tree(MutableArrayView v);
  Tree(Leaf v);
  Tree(LeafSpec v);  ///< in targets alone: a save refuses it, naming its path
  Tree(Placeholder v);
  Tree(Dict v);
  Tree(List v);
  Tree(Tuple v);
  Tree(const Tree&);
  Tree(Tree&&) noexcept;
  Tree& operator=(const Tree&);
  Tree& operator=(Tree&&) noexcept;
  /// Takes nested containers apart one by one: a tree of any depth can be destroyed.
  ~Tree();

  /// What the node is.
  [[nodiscard]] const Value& value() const noexcept { return value_; }
  [[nodiscard]] Value& value() noexcept { return value_; }
  /// "dict", "list", "tuple", "null", "bool", "int", "uint", "float", "string", "array", "view",
  /// "memory" (of a MutableArrayView), "leaf", "spec".
  [[nodiscard]] std::string_view kind() const noexcept;
  /// True when the node is a T, one of the types of Value.
  template <class T>
  [[nodiscard]] bool is() const noexcept {
    return std::holds_alternative<T>(value_);
  }
  /// The value, as a T. Throws std::invalid_argument naming both kinds. Here and below a temporary
  /// gives its value or child away, where an lvalue gives a reference.
  template <class T>
  [[nodiscard]] const T& as() const& {
    return *held<T>();
  }
  template <class T>
  [[nodiscard]] T& as() & {
    return *held<T>();
  }
  template <class T>
  [[nodiscard]] T as() && {
    return std::move(*held<T>());
  }
  /// Child of a dict by name; throws as Dict::at does, or std::invalid_argument on another kind.
  [[nodiscard]] const Tree& at(std::string_view key) const&;
  [[nodiscard]] Tree& at(std::string_view key) &;
  [[nodiscard]] Tree at(std::string_view key) &&;
  /// Child of a list or tuple; throws std::out_of_range, or std::invalid_argument on another kind.
  [[nodiscard]] const Tree& at(std::size_t index) const&;
  [[nodiscard]] Tree& at(std::size_t index) &;
  [[nodiscard]] Tree at(std::size_t index) &&;

  /// Equal kinds and values, except that arrays and views of either kind are equal when dtype,
  /// shape and element bytes are. NaN equals NaN. Leaves are equal when their parts are, sources by
  /// identity.
  friend CAIRN_EXPORT bool operator==(const Tree& a, const Tree& b);

 private:
  template <class T>
  const T* held() const;
  template <class T>
  T* held();
  Value value_;
};

/// The elements of an array, or of a view of either kind; none of any other node. Borrows `node`
/// where it is an array.
[[nodiscard]] CAIRN_EXPORT std::optional<ArrayView> view_of(const Tree& node);

/// A leaf or an empty container (an empty dict, list or tuple, or null) with its path.
struct FlatEntry {
  FlatEntry(KeyPath p, const Tree* n) : path(std::move(p)), node(n) {}
  KeyPath path;
  const Tree* node;  ///< borrowed from the tree that was flattened
};
/// Depth first, in the tree's order. Throws std::invalid_argument at a nesting above kMaxTreeDepth.
[[nodiscard]] CAIRN_EXPORT std::vector<FlatEntry> flatten(const Tree& tree);
inline constexpr std::size_t kMaxTreeDepth = 512;  ///< keys in the longest path

/// Rebuilds a tree from paths and values: containers come from the kinds of the keys (sequences
/// become lists). No entries make an empty dict. Throws FormatError on a sequence with gaps, a path
/// that is another's prefix, a duplicate, a node with keys of both kinds, or a nesting above
/// kMaxTreeDepth.
[[nodiscard]] CAIRN_EXPORT Tree unflatten(std::vector<std::pair<KeyPath, Tree>> entries);

namespace detail {

// The elements of a std::initializer_list are const: these let the values in them be moved all the
// same, so that a braced tree of arrays copies no element.
struct ListInit {
  template <class T>
  requires std::constructible_from<Tree, T&&> ListInit(T&& v) : value(std::forward<T>(v)) {}
  mutable Tree value;
};
struct DictInit {
  template <class T>
  requires std::constructible_from<Tree, T&&> DictInit(std::string k, T&& v)
      : key(std::move(k)), value(std::forward<T>(v)) {}
  DictInit(Dict::value_type entry);
  mutable std::string key;
  mutable Tree value;
};

/// The names that kind() gives, by the variant's index.
inline constexpr std::string_view kTreeKinds[] = {"null",   "bool",  "int",  "uint",   "float",
                                                  "string", "array", "view", "memory", "leaf",
                                                  "spec",   "dict",  "list", "tuple"};
static_assert(std::size(kTreeKinds) == std::variant_size_v<Tree::Value>);

template <class T, std::size_t kIndex = 0>
consteval std::string_view tree_kind_of() {
  static_assert(kIndex < std::variant_size_v<Tree::Value>, "not a kind of tree node");
  if constexpr (std::same_as<T, std::variant_alternative_t<kIndex, Tree::Value>>) {
    return kTreeKinds[kIndex];
  } else {
    return tree_kind_of<T, kIndex + 1>();
  }
}

[[noreturn]] CAIRN_EXPORT void throw_wrong_kind(std::string_view asked, std::string_view held);

}  // namespace detail

template <class T>
const T* Tree::held() const {
  if (const T* v = std::get_if<T>(&value_)) return v;
  detail::throw_wrong_kind(detail::tree_kind_of<T>(), kind());
}

template <class T>
T* Tree::held() {
  if (T* v = std::get_if<T>(&value_)) return v;
  detail::throw_wrong_kind(detail::tree_kind_of<T>(), kind());
}

}  // namespace cairn
