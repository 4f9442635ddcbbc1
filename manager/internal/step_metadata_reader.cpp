#include <cairn/manager/internal/handler_lookup.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/step_metadata_reader.h>

#include <algorithm>

namespace cairn::internal {
namespace {

constexpr std::string_view kMetricsItem = "metrics";

/// Whether the item is to blame, and not this process or the disk.
[[nodiscard]] bool is_not_what_was_expected(ErrorCode code) {
  return code == ErrorCode::not_found || code == ErrorCode::data_loss ||
         code == ErrorCode::not_supported || code == ErrorCode::invalid_argument;
}

Task<std::optional<ItemMetadata>> describe_item(OpenStepPtr step, std::string name,
                                                ReaderSettings settings) {
  const HandlerPtr handler = co_await find_reader(settings.registry, step, name);
  if (!handler) co_return std::nullopt;
  const auto reader = HandlerAccess::make_reader(*handler);
  std::exception_ptr failure;
  try {
    ItemMetadata metadata = co_await reader->describe(step, name);
    metadata.name = name;
    metadata.directory = join_path(step->folder->path, name);
    if (step->metadata) {
      const auto recorded = step->metadata->item_handlers.find(name);
      if (recorded != step->metadata->item_handlers.end()) metadata.handler = recorded->second;
    }
    co_return metadata;
  } catch (...) {
    failure = std::current_exception();
  }
  const std::exception_ptr error = as_error(failure, "read metadata", step->folder->path);
  if (!is_not_what_was_expected(code_of(error))) std::rethrow_exception(failure);
  if (settings.warn) {
    settings.warn("item '" + name + "' is not what " + std::string(handler->name()) +
                  " expects: " + message_of(error));
  }
  co_return std::nullopt;
}

Task<StepMetadata> describe_open_step(OpenStepPtr step, ReaderSettings settings) {
  StepMetadata metadata;
  if (step->metadata) static_cast<orbax::StepMetadata&>(metadata) = *step->metadata;
  ItemsMetadata::Map items;
  for (const std::string& name : step->items) {
    if (name == kMetricsItem) continue;
    std::optional<ItemMetadata> item = co_await describe_item(step, name, settings);
    items.emplace(name, std::move(item));
  }
  metadata.item_metadata = ItemsMetadata(std::move(items));
  // Orbax had them in a file of their own first.
  if (metadata.metrics.empty() && std::ranges::count(step->items, kMetricsItem) > 0)
    metadata.metrics = co_await read_metrics(step);
  co_return metadata;
}

}  // namespace

Task<StepMetadata> read_step_metadata(EnginePtr engine, std::string path, ReaderSettings settings) {
  OpenStepPtr step = co_await open_step(engine, path);
  settings.report_fault(*step);
  std::exception_ptr failure;
  try {
    StepMetadata metadata = co_await describe_open_step(step, settings);
    co_await close_step(step);
    co_return metadata;
  } catch (...) {
    failure = std::current_exception();
  }
  failure = co_await explain_failure(step->folder, failure);
  std::rethrow_exception(failure);
}

}  // namespace cairn::internal
