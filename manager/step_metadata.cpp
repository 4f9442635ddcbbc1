#include <cairn/manager/error.h>
#include <cairn/manager/step_metadata.h>

namespace cairn {
namespace {

[[noreturn]] void refuse(std::string reason, const ItemsMetadata::Map& items) {
  ErrorContext context;
  context.operation = "use item metadata";
  std::string names;
  for (const auto& [name, item] : items) names += (names.empty() ? "'" : ", '") + name + "'";
  throw Error(ErrorCode::not_found,
              std::move(reason) + "; items: " + (names.empty() ? "none" : names), context);
}

}  // namespace

const std::optional<ItemMetadata>& ItemsMetadata::at(std::string_view item) const {
  const auto found = items_.find(item);
  if (found == items_.end()) refuse("there is no item '" + std::string(item) + "'", items_);
  return found->second;
}

const ItemMetadata& ItemsMetadata::only() const {
  if (items_.size() != 1) refuse("there is not just one item, name it", items_);
  const std::optional<ItemMetadata>& item = items_.begin()->second;
  if (!item) refuse("no known handler reads the only item", items_);
  return *item;
}

}  // namespace cairn
