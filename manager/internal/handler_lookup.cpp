#include <cairn/manager/internal/handler_lookup.h>

#include <algorithm>
#include <boost/core/demangle.hpp>

namespace cairn::internal {
namespace {

using Entry = HandlerRegistry::Entry;
using ArgsOf = std::vector<std::type_index> (ItemHandler::*)() const;

[[nodiscard]] bool takes(const ItemHandler& handler, ArgsOf args_of, std::type_index args) {
  return std::ranges::count((handler.*args_of)(), args) > 0;
}

/// Those for the item where there are any, else those for any name.
[[nodiscard]] std::vector<HandlerPtr> registered(const HandlerRegistry& registry,
                                                 const std::string& item, bool* own) {
  std::vector<HandlerPtr> mine;
  std::vector<HandlerPtr> general;
  for (const Entry& entry : registry.entries()) {
    if (entry.item == item) mine.push_back(entry.handler);
    if (!entry.item) general.push_back(entry.handler);
  }
  *own = !mine.empty();
  return *own ? mine : general;
}

/// Orbax's names are long, and their last part tells.
[[nodiscard]] std::string_view short_name(const ItemHandler& handler) {
  const std::string_view name = handler.name();
  return name.starts_with("orbax.") ? name.substr(name.rfind('.') + 1) : name;
}

[[nodiscard]] std::string list_handlers(const std::vector<HandlerPtr>& handlers, ArgsOf args_of) {
  std::string text;
  for (const HandlerPtr& handler : handlers) {
    text += (text.empty() ? "" : "; ") + std::string(short_name(*handler)) + " (";
    std::string types;
    for (const std::type_index type : (*handler.*args_of)())
      types += (types.empty() ? "" : ", ") + type_name(type);
    text += (types.empty() ? "nothing" : types) + ")";
  }
  return text;
}

/// By the arguments alone; null where the registry and Cairn have none.
[[nodiscard]] HandlerPtr find_by_args(const HandlerRegistry& registry, const std::string& item,
                                      ArgsOf args_of, std::type_index args) {
  bool own = false;
  std::vector<HandlerPtr> handlers = registered(registry, item, &own);
  if (!own) handlers.insert(handlers.end(), builtin_handlers().begin(), builtin_handlers().end());
  for (const HandlerPtr& handler : handlers) {
    if (takes(*handler, args_of, args)) return handler;
  }
  ErrorContext context;
  context.item = item;
  context.remedy = own ? "Give arguments that the item's handler takes, or add another for it"
                       : "Add a handler that takes them to ManagerOptions::handlers";
  throw Error(ErrorCode::invalid_argument,
              (own ? "the item's handler does not take " : "no handler takes ") + type_name(args) +
                  "; there " + (handlers.size() == 1 ? "is " : "are ") +
                  list_handlers(handlers, args_of),
              context);
}

[[nodiscard]] std::string recorded_handler(const OpenStep& step, const std::string& item) {
  if (!step.metadata) return "";
  const auto found = step.metadata->item_handlers.find(item);
  return found == step.metadata->item_handlers.end() ? "" : found->second;
}

[[nodiscard]] std::string_view noun(ItemKind kind) {
  switch (kind) {
    case ItemKind::tree:
      return "a tree";
    case ItemKind::json:
      return "a JSON document";
    case ItemKind::proto:
      return "a protocol buffer";
    case ItemKind::jax_random_key:
      return "a random key of JAX's";
    case ItemKind::random_key:
      return "the state of a random generator";
    case ItemKind::unknown:
      break;
  }
  return "of no kind that is known";
}

/// One of Cairn's handlers is to read what another of them has saved.
[[nodiscard]] Error wrong_kind(const OpenStep& step, const std::string& item, ItemKind kind) {
  const std::string type = type_name(builtin_handler(kind)->restore_args().front());
  return step_error(ErrorCode::invalid_argument, "the item is " + std::string(noun(kind)),
                    step.folder->path, item, "Use " + type.substr(type.rfind(':') + 1));
}

[[nodiscard]] Error no_reader(const HandlerRegistry& registry, const OpenStep& step,
                              const std::string& item) {
  const std::string recorded = recorded_handler(step, item);
  bool own = false;
  const std::vector<HandlerPtr> handlers = registered(registry, item, &own);
  std::string reason;
  if (recorded.empty()) {
    reason =
        "the step's metadata names no handler for the item, and it has neither a tree's nor a "
        "JSON item's files";
  } else if (own) {
    reason = "the item was saved by " + recorded + ", which its handler does not read; there is " +
             list_handlers(handlers, &ItemHandler::restore_args);
  } else {
    reason = "the item was saved by " + recorded + ", and no handler of that name is known";
  }
  return step_error(ErrorCode::not_supported, std::move(reason), step.folder->path, item,
                    "Add its handler to ManagerOptions::handlers, or restore the other items by "
                    "name");
}

}  // namespace

std::string type_name(std::type_index type) {
  return boost::core::demangle(type.name());
}

const std::vector<HandlerPtr>& builtin_handlers() {
  static const std::vector<HandlerPtr> kHandlers = {
      handlers::standard(), handlers::pytree(),         handlers::json(),      handlers::array(),
      handlers::proto(),    handlers::jax_random_key(), handlers::random_key()};
  return kHandlers;
}

HandlerPtr builtin_handler(ItemKind kind) {
  switch (kind) {
    case ItemKind::tree:
      return handlers::standard();
    case ItemKind::json:
      return handlers::json();
    case ItemKind::proto:
      return handlers::proto();
    case ItemKind::jax_random_key:
      return handlers::jax_random_key();
    case ItemKind::random_key:
      return handlers::random_key();
    case ItemKind::unknown:
      break;
  }
  return nullptr;
}

HandlerPtr find_saver(const HandlerRegistry& registry, const std::string& item,
                      std::type_index args) {
  return find_by_args(registry, item, &ItemHandler::save_args, args);
}

Task<HandlerPtr> find_reader(HandlerRegistry registry, OpenStepPtr step, std::string item) {
  const std::string recorded = recorded_handler(*step, item);
  bool own = false;
  const std::vector<HandlerPtr> handlers = registered(registry, item, &own);
  for (const HandlerPtr& handler : handlers) {
    if (!recorded.empty() && handler->reads(recorded)) co_return handler;
  }
  if (own && recorded.empty() && handlers.size() == 1) co_return handlers.front();
  if (own) co_return nullptr;
  const ItemKind kind = co_await item_kind(step, item);
  co_return builtin_handler(kind);
}

Task<HandlerPtr> require_reader(HandlerRegistry registry, OpenStepPtr step, std::string item,
                                std::type_index args) {
  if (args == typeid(void)) {
    HandlerPtr handler = co_await find_reader(registry, step, item);
    if (!handler) throw no_reader(registry, *step, item);
    co_return handler;
  }
  HandlerPtr handler = find_by_args(registry, item, &ItemHandler::restore_args, args);
  if (std::ranges::count(builtin_handlers(), handler) == 0) co_return handler;
  const ItemKind kind = co_await item_kind(step, item);
  const HandlerPtr of_kind = builtin_handler(kind);
  if (!of_kind) co_return handler;  // its reader says what it misses
  if (handler != of_kind && !handler->reads(of_kind->name())) throw wrong_kind(*step, item, kind);
  co_return handler;
}

}  // namespace cairn::internal
