#include <cairn/manager/args.h>
#include <cairn/manager/error.h>

namespace cairn {
namespace {

std::string list_names(const std::vector<std::pair<std::string, Restored::Item>>& items) {
  std::string names;
  for (const auto& [name, item] : items) names += (names.empty() ? "'" : ", '") + name + "'";
  return names.empty() ? "none" : names;
}

std::string kind_of(const Restored::Item& item) {
  if (std::holds_alternative<Tree>(item)) return "tree";
  return std::holds_alternative<LazyTree>(item) ? "lazy tree" : "JSON document";
}

[[noreturn]] void refuse(std::string reason) {
  ErrorContext context;
  context.operation = "use restored items";
  throw Error(ErrorCode::not_found, std::move(reason), context);
}

}  // namespace

args::Composite& args::Composite::add(std::string name, ItemSave item) {
  items.emplace_back(std::move(name), std::move(item));
  return *this;
}

Restored::Restored(std::int64_t step, std::vector<std::pair<std::string, Item>> items)
    : step_(step), items_(std::move(items)) {}

template <class Kind>
Kind& Restored::only(const char* kind) {
  Kind* found = nullptr;
  for (auto& [name, item] : items_) {
    auto* here = std::get_if<Kind>(&item);
    if (here == nullptr) continue;
    if (found != nullptr)
      refuse("there are several " + std::string(kind) + "s, name one: " + list_names(items_));
    found = here;
  }
  if (found == nullptr) {
    refuse("there is no " + std::string(kind) + "; items: " + list_names(items_));
  }
  return *found;
}

Tree& Restored::tree() {
  return only<Tree>("tree");
}

LazyTree& Restored::lazy() {
  return only<LazyTree>("lazy tree");
}

Restored::Item& Restored::find(std::string_view name) {
  for (auto& [known, item] : items_) {
    if (known == name) return item;
  }
  refuse("there is no item '" + std::string(name) + "'; items: " + list_names(items_));
}

Tree& Restored::tree(std::string_view item) {
  Item& found = find(item);
  if (auto* tree = std::get_if<Tree>(&found)) return *tree;
  refuse("item '" + std::string(item) + "' is a " + kind_of(found) + ", not a tree");
}

boost::json::value& Restored::json(std::string_view item) {
  Item& found = find(item);
  if (auto* value = std::get_if<boost::json::value>(&found)) return *value;
  refuse("item '" + std::string(item) + "' is a " + kind_of(found) + ", not a JSON document");
}

LazyTree& Restored::lazy(std::string_view item) {
  Item& found = find(item);
  if (auto* tree = std::get_if<LazyTree>(&found)) return *tree;
  refuse("item '" + std::string(item) + "' is a " + kind_of(found) + ", not a lazy tree");
}

}  // namespace cairn
