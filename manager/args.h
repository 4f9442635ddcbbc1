#pragma once
// What is saved and restored: one item, or several by name.

#include <cairn/codecs/leaf.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>
#include <cairn/manager/codec.h>
#include <cairn/manager/erased_args.h>
#include <cairn/manager/lazy_tree.h>
#include <cairn/manager/restore_args.h>

#include <any>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

namespace cairn {

/// The codec of one leaf, or none for the item's; called on a worker thread while the save is
/// planned.
using CodecChooser = std::function<std::optional<Codec>(const KeyPath&, DType)>;

/// The dtype that an array is stored as, or none for the item's; called likewise.
using DTypeChooser = std::function<std::optional<DType>(const KeyPath&, DType)>;

namespace args {

/// What is common to the items that are trees. Empty trees are refused.
struct TreeSave {
  explicit TreeSave(Tree t) : tree(std::move(t)) {}
  /// What is saved.
  Tree tree;
  std::optional<Codec> codec;    ///< none: the manager's
  CodecChooser codec_for;        ///< per leaf; may be empty
  std::optional<Layout> layout;  ///< none: the manager's
  /// The dtype that arrays are stored as; none: their own. They are cast (codecs/cast.h) while they
  /// are captured, into the copy that is written. Numbers stay what they are.
  std::optional<DType> cast;
  DTypeChooser cast_for;  ///< per leaf; may be empty
  /// Stored with the tree, as Orbax does; LazyTree::custom_metadata() gives it.
  boost::json::object custom_metadata;
};

/// A tree of arrays, integers, floats and bools as one item. Strings are refused. An array is an
/// Array (moved in), an ArrayView (borrowed until staged()), or a Leaf: one that lies in memory in
/// pieces, or that a Source makes when it is asked.
struct StandardSave : TreeSave {
  StandardSave(Tree t) : TreeSave(std::move(t)) {}  // NOLINT(google-explicit-constructor)
};

/// The same with strings, UTF-8, as leaves beside the others: they are kept in one JSON file of the
/// item. Orbax restores such an item without arguments, or with PyTreeRestore.
struct PyTreeSave : TreeSave {
  explicit PyTreeSave(Tree t) : TreeSave(std::move(t)) {}
};

/// A JSON document as one item.
struct JsonSave {
  explicit JsonSave(boost::json::value v) : value(std::move(v)) {}
  boost::json::value value;
};

/// The arguments of one item: those above, of manager/array_item.h, proto_item.h and random_key.h,
/// or any that a handler in ManagerOptions::handlers takes. What makes a Tree means StandardSave.
class ItemSave : public ErasedArgs {
 public:
  template <class T>
  requires std::constructible_from<Tree, T&&> ItemSave(
      T&& value)  // NOLINT(google-explicit-constructor)
      : ErasedArgs(StandardSave(Tree(std::forward<T>(value)))) {}
  template <ItemArgs T>
  requires(!std::constructible_from<Tree, T&&>) ItemSave(T&& args)
      : ErasedArgs(std::forward<T>(args)) {}  // NOLINT(google-explicit-constructor)
};

/// Several items by name; a Tree alone means StandardSave. No name is empty or "metrics", begins
/// with a dot, or contains a slash or what Orbax's temporary directories are told by
/// (".orbax-checkpoint-tmp").
struct Composite {
  using Entry = std::pair<std::string, ItemSave>;
  Composite() = default;
  Composite(std::initializer_list<Entry> e) : items(e) {}
  /// Adds an item; an existing name is an error when the save is validated.
  CAIRN_EXPORT Composite& add(std::string name, ItemSave item);
  std::vector<Entry> items;
};

/// What save() takes: the arguments of an item, or several items by name.
class SaveArgs {
 public:
  SaveArgs(Composite a) : value(std::move(a)) {}             // NOLINT(google-explicit-constructor)
  SaveArgs(Tree tree) : value(ItemSave(std::move(tree))) {}  // NOLINT(google-explicit-constructor)
  SaveArgs(Dict tree) : value(ItemSave(std::move(tree))) {}  // NOLINT(google-explicit-constructor)
  template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, SaveArgs> &&
           !std::same_as<std::remove_cvref_t<T>, Composite> &&
           (ItemArgs<T> || std::same_as<std::remove_cvref_t<T>, ItemSave>))
      SaveArgs(T&& args)  // NOLINT(google-explicit-constructor)
      : value(ItemSave(std::forward<T>(args))) {}
  std::variant<ItemSave, Composite> value;
};

/// A JSON document.
struct JsonRestore {
  JsonRestore() = default;
};
/// An item by the handler that its step's metadata names.
struct AnyRestore {
  AnyRestore() = default;
};
/// A tree whose elements are read when somebody asks.
struct LazyRestore {
  LazyRestore() = default;
};
/// Of one item: those above, of the headers named at ItemSave, or any that a handler in
/// ManagerOptions::handlers takes. What makes a Tree means StandardRestore into it.
class ItemRestore : public ErasedArgs {
 public:
  ItemRestore() = default;
  ItemRestore(AnyRestore) {}  // NOLINT(google-explicit-constructor)
  template <class T>
  requires std::constructible_from<Tree, T&&> ItemRestore(
      T&& target)  // NOLINT(google-explicit-constructor)
      : ErasedArgs(StandardRestore(Tree(std::forward<T>(target)))) {}
  template <ItemArgs T>
  requires(!std::constructible_from<Tree, T&&> && !std::same_as<std::remove_cvref_t<T>, AnyRestore>)
      ItemRestore(T&& args)  // NOLINT(google-explicit-constructor)
      : ErasedArgs(std::forward<T>(args)) {}
};

/// Some items by name; none = every item of the step.
struct CompositeRestore {
  using Entry = std::pair<std::string, ItemRestore>;
  CompositeRestore() = default;
  CompositeRestore(std::initializer_list<Entry> e) : items(e) {}
  std::vector<Entry> items;
};

/// What restore() takes: the arguments of an item, or some items by name; nothing = every item as
/// the step's metadata says, a Tree alone = StandardRestore into it. A manager
/// that does not know the handler of an item (not_supported) restores the others by their names.
class RestoreArgs {
 public:
  RestoreArgs() : value(CompositeRestore()) {}
  RestoreArgs(CompositeRestore a) : value(std::move(a)) {}  // NOLINT(google-explicit-constructor)
  RestoreArgs(Tree target)
      : value(ItemRestore(std::move(target))) {}  // NOLINT(google-explicit-constructor)
  RestoreArgs(Dict target)
      : value(ItemRestore(std::move(target))) {}  // NOLINT(google-explicit-constructor)
  template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, RestoreArgs> &&
           !std::same_as<std::remove_cvref_t<T>, CompositeRestore> &&
           (ItemArgs<T> || std::same_as<std::remove_cvref_t<T>, ItemRestore>))
      RestoreArgs(T&& args)  // NOLINT(google-explicit-constructor)
      : value(ItemRestore(std::forward<T>(args))) {}
  std::variant<ItemRestore, CompositeRestore> value;
};

}  // namespace args

/// What restore() gives: the items by name. Of an lvalue the members below refer to its items; of a
/// temporary, as in manager.restore(step).get().tree(), they give the item itself.
class CAIRN_EXPORT Restored {
 public:
  /// A Tree, a boost::json::value, or what else the item's handler gives.
  using Item = std::any;
  Restored() = default;
  Restored(std::int64_t step, std::vector<std::pair<std::string, Item>> items);

  /// The step that was restored.
  [[nodiscard]] std::int64_t step() const noexcept { return step_; }
  /// What was restored of it, by name.
  [[nodiscard]] const std::vector<std::pair<std::string, Item>>& items() const noexcept {
    return items_;
  }
  /// The only tree there is; throws Error(not_found) naming the items when there is none or
  /// several.
  [[nodiscard]] const Tree& tree() const&;
  [[nodiscard]] Tree& tree() & { return mine(std::as_const(*this).tree()); }
  [[nodiscard]] Tree tree() && { return std::move(tree()); }
  /// An item by name; throws Error(not_found) naming the items there are, or the item's real type.
  template <class T>
  [[nodiscard]] const T& get(std::string_view item) const& {
    const Item& value = find(item);
    if (const T* known = std::any_cast<T>(&value)) return *known;
    refuse_type(item, value.type(), typeid(T));
  }
  template <class T>
  [[nodiscard]] T& get(std::string_view item) & {
    return mine(std::as_const(*this).template get<T>(item));
  }
  template <class T>
  [[nodiscard]] T get(std::string_view item) && {
    return std::move(get<T>(item));
  }
  /// The same of a tree.
  [[nodiscard]] const Tree& tree(std::string_view item) const& { return get<Tree>(item); }
  [[nodiscard]] Tree& tree(std::string_view item) & { return get<Tree>(item); }
  [[nodiscard]] Tree tree(std::string_view item) && { return std::move(get<Tree>(item)); }
  /// The same of a JSON document.
  [[nodiscard]] const boost::json::value& json(std::string_view item) const& {
    return get<boost::json::value>(item);
  }
  [[nodiscard]] boost::json::value& json(std::string_view item) & {
    return get<boost::json::value>(item);
  }
  [[nodiscard]] boost::json::value json(std::string_view item) && {
    return std::move(get<boost::json::value>(item));
  }
  /// Of an item that is one array.
  [[nodiscard]] const Array& array(std::string_view item) const&;
  [[nodiscard]] Array& array(std::string_view item) & {
    return mine(std::as_const(*this).array(item));
  }
  [[nodiscard]] Array array(std::string_view item) && { return std::move(array(item)); }
  /// Of args::LazyRestore: the only such tree there is, or one by name; errors as above.
  [[nodiscard]] const LazyTree& lazy() const&;
  [[nodiscard]] LazyTree& lazy() & { return mine(std::as_const(*this).lazy()); }
  [[nodiscard]] LazyTree lazy() && { return std::move(lazy()); }
  [[nodiscard]] const LazyTree& lazy(std::string_view item) const& { return get<LazyTree>(item); }
  [[nodiscard]] LazyTree& lazy(std::string_view item) & { return get<LazyTree>(item); }
  [[nodiscard]] LazyTree lazy(std::string_view item) && { return std::move(get<LazyTree>(item)); }

 private:
  const Item& find(std::string_view item) const;
  template <class Kind>
  const Kind& only() const;
  /// What a const member of an object that is not const has found in it.
  template <class T>
  static T& mine(const T& found) noexcept {
    return const_cast<T&>(found);
  }
  [[noreturn]] static void refuse_type(std::string_view item, const std::type_info& real,
                                       const std::type_info& asked);
  std::int64_t step_ = 0;
  std::vector<std::pair<std::string, Item>> items_;
};

}  // namespace cairn
