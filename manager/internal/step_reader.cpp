#include <cairn/codecs/format_error.h>
#include <cairn/manager/internal/file_record.h>
#include <cairn/manager/internal/handler_lookup.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/step_reader.h>

#include <algorithm>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kJsonBytesMax = std::uint64_t{1} << 30;

Task<boost::json::value> read_json(OpenStepPtr step, std::string item) {
  FolderPtr folder = co_await item_folder(step, item);
  const auto entries = co_await list_folder(folder);
  const std::string name = json_file(entries);
  if (name.empty())
    throw step_error(ErrorCode::not_found, "the item has no JSON document", folder->path, item);
  std::string text = co_await read_file(folder, name, kJsonBytesMax);
  ItemFiles files;
  files.set(name, std::move(text));
  FileChooser none_else;
  co_await check_files(folder, item, &files, std::move(none_else), throw_damage());
  try {
    co_return orbax::parse_json(files.at(name), "JSON item");
  } catch (const FormatError& error) {
    ErrorContext context;
    context.path = join_path(folder->path, name);
    context.item = item;
    context.offset = error.offset();
    throw Error(ErrorCode::data_loss, error.what(), context);
  }
}

}  // namespace

Task<std::any> restore_item(OpenStepPtr step, std::string item, args::ItemRestore how,
                            HandlerRegistry registry) {
  if (std::ranges::find(step->items, item) == step->items.end()) {
    if (std::ranges::count(missing_items(*step), item) > 0) throw missing_item(*step, item);
    throw step_error(ErrorCode::not_found,
                     step->direct ? std::string("the step is a single item, which has no name")
                                  : "the step has no such item; items: " + names_of(step->items),
                     step->folder->path, item);
  }
  const HandlerPtr handler = co_await require_reader(registry, step, item, how.type());
  const auto reader = HandlerAccess::make_reader(*handler);
  co_return co_await reader->restore(step, item, std::move(how));
}

Task<std::string> single_item(OpenStepPtr step, std::string item_name) {
  if (step->direct) co_return std::string();
  for (const std::string& name : {item_name, std::string("default"), std::string("state")}) {
    if (std::ranges::find(step->items, name) != step->items.end()) co_return name;
    // Not the next best: that would be other data than was asked for.
    if (std::ranges::count(missing_items(*step), name) > 0) throw missing_item(*step, name);
  }
  std::vector<std::string> trees;
  for (const std::string& name : step->items) {
    const ItemKind kind = co_await item_kind(step, name);
    if (kind == ItemKind::tree) trees.push_back(name);
  }
  if (trees.size() == 1) co_return trees[0];
  throw step_error(ErrorCode::not_found,
                   "the step has no item '" + item_name +
                       "' and not just one tree; items: " + names_of(step->items),
                   step->folder->path, "", "Name the items in a CompositeRestore");
}

namespace {

/// Every item of the step. A directory that the step's metadata does not name is an item where a
/// handler reads it.
Task<std::vector<args::CompositeRestore::Entry>> every_item(OpenStepPtr step,
                                                            HandlerRegistry registry) {
  const std::vector<std::string> missing = missing_items(*step);
  if (!missing.empty()) throw missing_item(*step, missing.front());
  std::vector<args::CompositeRestore::Entry> items;
  for (const std::string& name : step->items) {
    if (step->metadata && !step->metadata->item_handlers.contains(name)) {
      const HandlerPtr handler = co_await find_reader(registry, step, name);
      if (!handler) continue;
    }
    items.emplace_back(name, args::ItemRestore());
  }
  co_return items;
}

Task<Restored> restore_open_step(OpenStepPtr step, Step number, args::RestoreArgs args,
                                 ReaderSettings settings) {
  std::vector<args::CompositeRestore::Entry> wanted;
  if (auto* composite = std::get_if<args::CompositeRestore>(&args.value)) {
    wanted = std::move(composite->items);
    if (wanted.empty()) wanted = co_await every_item(step, settings.registry);
  } else {
    std::string name = co_await single_item(step, settings.item_name);
    wanted.emplace_back(std::move(name), std::move(std::get<args::ItemRestore>(args.value)));
  }
  std::vector<std::pair<std::string, Restored::Item>> items;
  for (auto& [name, how] : wanted) {
    Restored::Item item = co_await restore_item(step, name, std::move(how), settings.registry);
    items.emplace_back(name, std::move(item));
  }
  co_return Restored(number, std::move(items));
}

}  // namespace

Task<Restored> restore_step(EnginePtr engine, std::string path, Step number, args::RestoreArgs args,
                            ReaderSettings settings) {
  OpenStepPtr step = co_await open_step(engine, path);
  settings.report_fault(*step);
  std::exception_ptr failure;
  try {
    Restored restored = co_await restore_open_step(step, number, std::move(args), settings);
    const bool is_held = std::ranges::any_of(
        restored.items(), [](const auto& item) { return item.second.type() == typeid(LazyTree); });
    if (!is_held) co_await close_step(step);
    co_return restored;
  } catch (...) {
    failure = std::current_exception();
  }
  failure = co_await explain_failure(step->folder, failure);
  std::rethrow_exception(failure);
}

Task<boost::json::object> read_metrics(OpenStepPtr step) {
  if (std::ranges::find(step->items, "metrics") == step->items.end())
    co_return boost::json::object();
  boost::json::value value = co_await read_json(step, "metrics");
  if (!value.is_object()) {
    throw step_error(ErrorCode::data_loss, "the metrics are not a JSON object",
                     join_path(step->folder->path, "metrics"), "metrics");
  }
  co_return std::move(value.as_object());
}

}  // namespace cairn::internal
