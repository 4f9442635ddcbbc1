#pragma once
// Who saves and who reads an item: the rules of HandlerRegistry.

#include <cairn/manager/handler_registry.h>
#include <cairn/manager/internal/path_kind.h>
#include <cairn/manager/internal/step_reader.h>

#include <string>
#include <string_view>
#include <typeindex>
#include <vector>

namespace cairn::internal {

/// Cairn's own.
[[nodiscard]] const std::vector<HandlerPtr>& builtin_handlers();
/// The one of them that reads items of a kind; null for ItemKind::unknown.
[[nodiscard]] HandlerPtr builtin_handler(ItemKind kind);

/// "cairn::args::JsonSave".
[[nodiscard]] std::string type_name(std::type_index type);

/// Throws Error(invalid_argument) naming the item, the type and the handlers there are.
[[nodiscard]] HandlerPtr find_saver(const HandlerRegistry& registry, const std::string& item,
                                    std::type_index args);
/// Null where no known handler reads the item, which has no arguments.
Task<HandlerPtr> find_reader(HandlerRegistry registry, OpenStepPtr step, std::string item);
/// `args`: typeid(void) where there are none. Throws Error: invalid_argument for arguments that no
/// handler of the item takes, or of another kind than the item; not_supported where no known
/// handler reads it, naming the one that the step's metadata has.
Task<HandlerPtr> require_reader(HandlerRegistry registry, OpenStepPtr step, std::string item,
                                std::type_index args);

}  // namespace cairn::internal
