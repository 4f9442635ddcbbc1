#include <cairn/manager/args.h>
#include <cairn/manager/error.h>

#include <boost/core/demangle.hpp>

namespace cairn {
namespace {

std::string list_names(const std::vector<std::pair<std::string, Restored::Item>>& items) {
  std::string names;
  for (const auto& [name, item] : items) names += (names.empty() ? "'" : ", '") + name + "'";
  return names.empty() ? "none" : names;
}

std::string kind_of(const std::type_info& type) {
  if (type == typeid(Tree)) return "tree";
  if (type == typeid(LazyTree)) return "lazy tree";
  if (type == typeid(boost::json::value)) return "JSON document";
  return boost::core::demangle(type.name());
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
const Kind& Restored::only() const {
  const Kind* found = nullptr;
  for (const auto& [name, item] : items_) {
    const auto* here = std::any_cast<Kind>(&item);
    if (here == nullptr) continue;
    if (found != nullptr) {
      refuse("there are several " + kind_of(typeid(Kind)) + "s, name one: " + list_names(items_));
    }
    found = here;
  }
  if (found == nullptr)
    refuse("there is no " + kind_of(typeid(Kind)) + "; items: " + list_names(items_));
  return *found;
}

const Tree& Restored::tree() const& {
  return only<Tree>();
}

const LazyTree& Restored::lazy() const& {
  return only<LazyTree>();
}

const Restored::Item& Restored::find(std::string_view name) const {
  for (const auto& [known, item] : items_) {
    if (known == name) return item;
  }
  refuse("there is no item '" + std::string(name) + "'; items: " + list_names(items_));
}

const Array& Restored::array(std::string_view item) const& {
  const Tree& value = tree(item);
  if (value.is<Array>()) return value.as<Array>();
  refuse("item '" + std::string(item) + "' is not an array, but a " + std::string(value.kind()));
}

void Restored::refuse_type(std::string_view item, const std::type_info& real,
                           const std::type_info& asked) {
  refuse("item '" + std::string(item) + "' is a " + kind_of(real) + ", not a " + kind_of(asked));
}

}  // namespace cairn
