#pragma once
// Which handler saves and restores an item.

#include <cairn/export.h>
#include <cairn/manager/handler.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn {

/// A handler may serve several managers.
using HandlerPtr = std::shared_ptr<const ItemHandler>;

/// Cairn's own handlers, those of Orbax's names; every manager knows them without being told. Put
/// one into a registry to let an item be nothing else. Those of trees read each other's items, and
/// take StandardRestore and LazyRestore all of them.
namespace handlers {
[[nodiscard]] CAIRN_EXPORT HandlerPtr standard();        ///< args::StandardSave
[[nodiscard]] CAIRN_EXPORT HandlerPtr pytree();          ///< args::PyTreeSave, PyTreeRestore
[[nodiscard]] CAIRN_EXPORT HandlerPtr json();            ///< args::JsonSave, JsonRestore
[[nodiscard]] CAIRN_EXPORT HandlerPtr array();           ///< manager/array_item.h
[[nodiscard]] CAIRN_EXPORT HandlerPtr proto();           ///< manager/proto_item.h
[[nodiscard]] CAIRN_EXPORT HandlerPtr jax_random_key();  ///< manager/random_key.h
[[nodiscard]] CAIRN_EXPORT HandlerPtr random_key();      ///< manager/random_key.h
}  // namespace handlers

/// A regular value, for ManagerOptions::handlers. Who handles an item:
/// 1. the handler that was added for the item, if there is one: then no other does;
/// 2. else the one added for items of any name that takes the arguments given;
/// 3. else the one of Cairn's that does.
/// A restore without arguments takes the one that reads what the step's metadata names, in the same
/// order. An item's first committed save settles for the manager what it is: later ones are by the
/// same handler, or by one whose items that one reads.
class CAIRN_EXPORT HandlerRegistry {
 public:
  /// A handler, and what it is for.
  struct Entry {
    Entry(std::optional<std::string> i, HandlerPtr h) : item(std::move(i)), handler(std::move(h)) {}
    std::optional<std::string> item;  ///< none: of any name
    HandlerPtr handler;               ///< what add() was given; not null
  };

  /// For items of any name. Throws Error(invalid_argument) where a handler for any name takes the
  /// same type of arguments, or has the same name.
  HandlerRegistry& add(HandlerPtr handler);
  /// For one item; an item may have several handlers. Throws Error(invalid_argument) as above,
  /// among the handlers of the item.
  HandlerRegistry& add(std::string item, HandlerPtr handler);

  /// In the order of their adding.
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  HandlerRegistry& add(Entry entry);
  std::vector<Entry> entries_;
};

}  // namespace cairn
