#include <cairn/manager/handler_registry.h>
#include <cairn/manager/internal/argument_check.h>
#include <cairn/manager/internal/handler_lookup.h>

#include <algorithm>

namespace cairn {
namespace {

constexpr const char* kWhere = "HandlerRegistry::add";

[[nodiscard]] std::string scope_of(const HandlerRegistry::Entry& entry) {
  return entry.item ? "item '" + *entry.item + "'" : std::string("items of any name");
}

void refuse_shared_args(const HandlerRegistry::Entry& entry, const ItemHandler& other,
                        std::vector<std::type_index> (ItemHandler::*args_of)() const) {
  const std::vector<std::type_index> theirs = (other.*args_of)();
  for (const std::type_index type : (*entry.handler.*args_of)()) {
    if (std::ranges::count(theirs, type) == 0) continue;
    internal::refuse_argument(kWhere, scope_of(entry) + " have a handler that takes " +
                                          internal::type_name(type) +
                                          " already: " + std::string(other.name()));
  }
}

}  // namespace

HandlerRegistry& HandlerRegistry::add(HandlerPtr handler) {
  return add(Entry(std::nullopt, std::move(handler)));
}

HandlerRegistry& HandlerRegistry::add(std::string item, HandlerPtr handler) {
  if (item.empty()) internal::refuse_argument(kWhere, "the item's name is empty");
  return add(Entry(std::move(item), std::move(handler)));
}

HandlerRegistry& HandlerRegistry::add(Entry entry) {
  if (!entry.handler) internal::refuse_argument(kWhere, "the handler is null");
  if (entry.handler->name().empty())
    internal::refuse_argument(kWhere, "the handler has no name, so no restore could find it");
  for (const Entry& other : entries_) {
    if (other.item != entry.item) continue;
    if (other.handler->name() == entry.handler->name()) {
      internal::refuse_argument(kWhere, scope_of(entry) + " have a handler of this name already: " +
                                            std::string(entry.handler->name()));
    }
    refuse_shared_args(entry, *other.handler, &ItemHandler::save_args);
    refuse_shared_args(entry, *other.handler, &ItemHandler::restore_args);
  }
  entries_.push_back(std::move(entry));
  return *this;
}

}  // namespace cairn
