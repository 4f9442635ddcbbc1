#include <cairn/manager/args.h>
#include <cairn/manager/error.h>

namespace cairn {
namespace {

std::string list_names(const std::vector<std::pair<std::string, Restored::Item>>& items) {
  std::string names;
  for (const auto& [name, item] : items) names += (names.empty() ? "'" : ", '") + name + "'";
  return names.empty() ? "none" : names;
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

Tree& Restored::tree() {
  Tree* only = nullptr;
  for (auto& [name, item] : items_) {
    auto* tree = std::get_if<Tree>(&item);
    if (tree == nullptr) continue;
    if (only != nullptr) refuse("there are several trees, name one: " + list_names(items_));
    only = tree;
  }
  if (only == nullptr) refuse("there is no tree; items: " + list_names(items_));
  return *only;
}

Restored::Item& Restored::find(std::string_view name) {
  for (auto& [known, item] : items_) {
    if (known == name) return item;
  }
  refuse("there is no item '" + std::string(name) + "'; items: " + list_names(items_));
}

Tree& Restored::tree(std::string_view item) {
  if (auto* tree = std::get_if<Tree>(&find(item))) return *tree;
  refuse("item '" + std::string(item) + "' is a JSON document, not a tree");
}

boost::json::value& Restored::json(std::string_view item) {
  if (auto* value = std::get_if<boost::json::value>(&find(item))) return *value;
  refuse("item '" + std::string(item) + "' is a tree, not a JSON document");
}

}  // namespace cairn
