#pragma once
// What is saved and restored: one item, or several by name.

#include <cairn/codecs/leaf.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>
#include <cairn/manager/codec.h>

#include <boost/json/value.hpp>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cairn {

/// The codec of one leaf, or none for the item's; called on a worker thread while the save is
/// planned.
using CodecChooser = std::function<std::optional<Codec>(const KeyPath&, DType)>;

namespace args {

/// What is common to the items that are trees. Empty trees are refused.
struct TreeSave {
  explicit TreeSave(Tree t) : tree(std::move(t)) {}
  Tree tree;
  std::optional<Codec> codec;    ///< none: the manager's
  CodecChooser codec_for;        ///< per leaf; may be empty
  std::optional<Layout> layout;  ///< none: the manager's
};

/// A tree of arrays, integers, floats and bools as one item. Strings are refused.
struct StandardSave : TreeSave {
  StandardSave(Tree t) : TreeSave(std::move(t)) {}  // NOLINT(google-explicit-constructor)
};

/// The same with strings, UTF-8, as leaves beside the others: they are kept in one JSON file of the
/// item. Orbax restores such an item without arguments, or with PyTreeRestore.
struct PyTreeSave : TreeSave {
  PyTreeSave(Tree t) : TreeSave(std::move(t)) {}  // NOLINT(google-explicit-constructor)
};

/// A JSON document as one item.
struct JsonSave {
  explicit JsonSave(boost::json::value v) : value(std::move(v)) {}
  boost::json::value value;
};

using ItemSave = std::variant<StandardSave, PyTreeSave, JsonSave>;

/// Several items by name.
struct Composite {
  using Entry = std::pair<std::string, ItemSave>;
  Composite() = default;
  Composite(std::initializer_list<Entry> e) : items(e) {}
  /// Adds an item; an existing name is an error when the save is validated.
  Composite& add(std::string name, ItemSave item);
  std::vector<Entry> items;
};

/// What save() takes: anything above; a Tree alone means StandardSave.
class SaveArgs {
 public:
  SaveArgs(StandardSave a) : value(std::move(a)) {}  // NOLINT(google-explicit-constructor)
  SaveArgs(PyTreeSave a) : value(std::move(a)) {}    // NOLINT(google-explicit-constructor)
  SaveArgs(JsonSave a) : value(std::move(a)) {}      // NOLINT(google-explicit-constructor)
  SaveArgs(Composite a) : value(std::move(a)) {}     // NOLINT(google-explicit-constructor)
  SaveArgs(Tree tree)
      : value(StandardSave(std::move(tree))) {}  // NOLINT(google-explicit-constructor)
  SaveArgs(Dict tree)
      : value(StandardSave(Tree(std::move(tree)))) {}  // NOLINT(google-explicit-constructor)
  std::variant<StandardSave, PyTreeSave, JsonSave, Composite> value;
};

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

/// A tree as it was saved, or parts of it; strings come back as strings.
struct StandardRestore {
  StandardRestore() = default;
  explicit StandardRestore(std::vector<Selection> s) : selection(std::move(s)) {}
  /// Empty: everything. Otherwise what it names alone is read, chunk by chunk, and comes in its
  /// place in the tree; elements of a list that were not asked for are null. Errors: not_found for
  /// a path that is not there, with names like it; invalid_argument for a range that does not lie
  /// in its array, a range of several arrays, and an array that is named twice.
  std::vector<Selection> selection;
};
/// A JSON document.
struct JsonRestore {
  JsonRestore() = default;
};
/// An item by the handler that its step's metadata names.
struct AnyRestore {
  AnyRestore() = default;
};
using ItemRestore = std::variant<AnyRestore, StandardRestore, JsonRestore>;

/// Some items by name; none = every item of the step.
struct CompositeRestore {
  using Entry = std::pair<std::string, ItemRestore>;
  CompositeRestore() = default;
  CompositeRestore(std::initializer_list<Entry> e) : items(e) {}
  std::vector<Entry> items;
};

/// What restore() takes; nothing = every item as the step's metadata says.
class RestoreArgs {
 public:
  RestoreArgs() : value(CompositeRestore()) {}
  RestoreArgs(StandardRestore a) : value(std::move(a)) {}   // NOLINT(google-explicit-constructor)
  RestoreArgs(JsonRestore a) : value(a) {}                  // NOLINT(google-explicit-constructor)
  RestoreArgs(CompositeRestore a) : value(std::move(a)) {}  // NOLINT(google-explicit-constructor)
  std::variant<StandardRestore, JsonRestore, CompositeRestore> value;
};

}  // namespace args

/// What restore() gives: the items by name.
class CAIRN_EXPORT Restored {
 public:
  using Item = std::variant<Tree, boost::json::value>;
  Restored() = default;
  Restored(std::int64_t step, std::vector<std::pair<std::string, Item>> items);

  [[nodiscard]] std::int64_t step() const noexcept { return step_; }
  [[nodiscard]] const std::vector<std::pair<std::string, Item>>& items() const noexcept {
    return items_;
  }
  /// The only tree there is; throws Error(not_found) naming the items when there is none or
  /// several.
  [[nodiscard]] Tree& tree();
  /// An item by name; throws Error naming the items there are, or the item's real kind.
  [[nodiscard]] Tree& tree(std::string_view item);
  [[nodiscard]] boost::json::value& json(std::string_view item);

 private:
  Item& find(std::string_view item);
  std::int64_t step_ = 0;
  std::vector<std::pair<std::string, Item>> items_;
};

}  // namespace cairn
