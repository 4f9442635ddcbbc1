// What becomes of a save's arguments: one saver per item.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/start.h>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

void CheckpointManager::Impl::add_item(SaveJob& job, std::string name, args::ItemSave item) const {
  const bool reserved = name == "metrics" || name.find(orbax::kTemporaryInfix) != std::string::npos;
  if (name.empty() || name.find('/') != std::string::npos || name[0] == '.' || reserved) {
    throw with_operation(ErrorCode::invalid_argument,
                         "'" + name + "' cannot be the name of an item", "", "");
  }
  for (const auto& [other, saver] : job.items) {
    if (other == name)
      throw with_operation(ErrorCode::invalid_argument, "item '" + name + "' is given twice", "",
                           "");
  }
  TreeSettings settings = tree_settings(job);
  if (auto* standard = std::get_if<args::StandardSave>(&item)) {
    job.items.emplace_back(
        name, make_tree_saver(name, std::move(*standard), std::move(settings), job.state));
  } else if (auto* pytree = std::get_if<args::PyTreeSave>(&item)) {
    settings.handler = orbax::kPyTreeHandler;
    settings.strings = true;
    job.items.emplace_back(
        name, make_tree_saver(name, std::move(*pytree), std::move(settings), job.state));
  } else {
    job.items.emplace_back(
        name, make_json_saver(name, "metadata", std::move(std::get<args::JsonSave>(item).value),
                              job.state));
  }
}

TreeSettings CheckpointManager::Impl::tree_settings(const SaveJob& job) const {
  TreeSettings settings;
  settings.codec = options.codec;
  settings.layout = options.layout;
  settings.capture = job.options.capture;
  settings.encode_policy = options.encode_policy;
  settings.pace = writer_->pace;
  settings.synced = writer_->synced;
  settings.incremental = options.incremental;
  settings.max_link_age = options.max_link_age;
  settings.linkable_file_bytes = options.linkable_file_bytes;
  settings.rules = rules;
  settings.warn = [writer = writer_, step = job.step](std::string message) {
    writer->log(LogLevel::warning, "link", step, std::move(message));
  };
  return settings;
}

void CheckpointManager::Impl::add_items(SaveJob& job, args::SaveArgs args) const {
  if (auto* composite = std::get_if<args::Composite>(&args.value)) {
    if (composite->items.empty()) {
      throw with_operation(ErrorCode::invalid_argument, "a Composite without items saves nothing",
                           "", "");
    }
    for (auto& [name, item] : composite->items) add_item(job, name, std::move(item));
  } else if (auto* standard = std::get_if<args::StandardSave>(&args.value)) {
    add_item(job, options.item_name, std::move(*standard));
  } else if (auto* pytree = std::get_if<args::PyTreeSave>(&args.value)) {
    add_item(job, options.item_name, std::move(*pytree));
  } else {
    add_item(job, options.item_name, std::move(std::get<args::JsonSave>(args.value)));
  }
  if (!job.options.metrics.empty()) {
    job.items.emplace_back("metrics",
                           make_json_saver("metrics", "metrics", job.options.metrics, job.state));
  }
}

}  // namespace cairn
