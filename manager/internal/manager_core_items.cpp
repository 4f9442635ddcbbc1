// What becomes of a save's arguments: one saver per item.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/handler_lookup.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/start.h>

#include <boost/json/serialize.hpp>

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
  check_layout_for_processes(item);
  const HandlerPtr handler = find_saver(options.handlers, name, item.type());
  check_binding(name, handler);
  SaverRequest request(name, std::move(item.value()), tree_settings(job), job.state);
  job.items.emplace_back(name, HandlerAccess::make_saver(*handler, std::move(request)));
  job.handlers.emplace_back(std::move(name), handler);
}

void CheckpointManager::Impl::check_binding(const std::string& item,
                                            const HandlerPtr& handler) const {
  HandlerPtr bound;
  const std::lock_guard lock(mutex_);
  if (const auto found = bound_.find(item); found != bound_.end()) bound = found->second;
  // Until one has committed, a save under way stands for the handler that it will settle.
  for (const JobPtr& queued : queue_.jobs()) {
    if (bound || queued->settled) continue;
    for (const auto& [name, its] : queued->handlers) {
      if (name == item) bound = its;
    }
  }
  // Those of trees may follow each other: whoever reads the one reads the other.
  if (!bound || bound == handler || bound->reads(handler->name())) return;
  ErrorContext context;
  context.item = item;
  context.remedy = "Use one kind of arguments throughout, another item, or another manager";
  throw Error(ErrorCode::invalid_argument,
              "earlier saves of the item were by " + std::string(bound->name()) +
                  ", these arguments are of " + std::string(handler->name()),
              context);
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
  settings.scope = job.scope;
  settings.number = std::to_string(job.items.size());
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
    std::exception_ptr first;
    std::size_t failed = 0;
    for (auto& [name, item] : composite->items) {
      try {
        add_item(job, name, std::move(item));
      } catch (...) {
        if (failed++ == 0) first = std::current_exception();
      }
    }
    if (failed > 0) raise_of_items(first, failed, composite->items.size());
  } else {
    add_item(job, options.item_name, std::move(std::get<args::ItemSave>(args.value)));
  }
  if (!job.options.metrics.empty()) {
    auto encode = [metrics = job.options.metrics] {
      return ItemFiles{{"metrics", boost::json::serialize(metrics)}};
    };
    job.items.emplace_back("metrics", make_file_saver("metrics", std::string(orbax::kJsonHandler),
                                                      std::move(encode), job.state));
  }
}

}  // namespace cairn
