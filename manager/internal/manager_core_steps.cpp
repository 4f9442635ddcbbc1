// Restoring, metadata, waiting and closing.

#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/root_metadata.h>
#include <cairn/manager/internal/rule_scope.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_metadata_reader.h>

#include <algorithm>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

namespace {

/// Bytes of the arrays that were read.
std::uint64_t element_bytes(const Restored& restored) {
  std::uint64_t bytes = 0;
  for (const auto& [name, item] : restored.items()) {
    const auto* tree = std::any_cast<Tree>(&item);
    if (tree == nullptr) continue;
    for (const FlatEntry& entry : flatten(*tree)) {
      if (entry.node->is<Array>()) bytes += entry.node->as<Array>().bytes().size();
      if (!entry.node->is<MutableArrayView>()) continue;
      const auto& memory = entry.node->as<MutableArrayView>();
      bytes += byte_count(memory.dtype(), memory.shape());
    }
  }
  return bytes;
}

}  // namespace

Error CheckpointManager::Impl::forked_error(std::string operation) const {
  return with_operation(ErrorCode::closed, "this process was forked after the manager was made",
                        std::move(operation), directory,
                        "Make a new manager and a new engine in the child");
}

Error CheckpointManager::Impl::rule_error(std::string operation) const {
  return with_operation(ErrorCode::invalid_argument,
                        "called from within a rule of the same manager", std::move(operation),
                        directory,
                        "Functions given to a manager may call its getters alone: call it from "
                        "elsewhere");
}

Future<Restored> CheckpointManager::Impl::restore(std::optional<Step> step, args::RestoreArgs args,
                                                  RestoreOptions restore_options) {
  const std::string root = restore_options.directory.value_or(directory);
  const std::string operation = step ? "restore step " + std::to_string(*step) : "restore";
  if (engine->forked()) return failed<Restored>(forked_error(operation));
  if (const GroupScopePtr scope = next_scope("restore", restores_)) {
    return start_cancellable(engine, restore_together(root, step, std::move(args), scope),
                             operation, root);
  }
  if (!step && !restore_options.directory) {
    step = index.latest_to_restore();
    if (!step) {
      const Error none =
          with_operation(ErrorCode::not_found, "there is no step to restore", operation, root);
      log(LogLevel::error, "restore", std::nullopt, none.what());
      return failed<Restored>(none);
    }
  }
  return start_cancellable(engine, restore_alone(root, step, std::move(args)), operation, root);
}

void CheckpointManager::Impl::note_restored(Step step) noexcept {
  // A run that goes on from its latest step does not go back, whatever it is saving.
  const std::optional<Step> committed = index.latest_committed();
  // The step read again is the same roll-back, which a save of its run that is under way will end.
  const bool again = step == restored_older_;
  const bool older = again || (committed && step < *committed);
  if (older && !again) ++roll_backs_;
  restored_older_ = older ? step : kNone;
  // Nor is a roll-back over when a save has committed that was under way before it.
  rolled_back_from_ = index.latest().value_or(kNone);
}

void CheckpointManager::Impl::end_lone_roll_back() {
  Step restored = restored_older_;
  if (restored == kNone) return;
  if (index.latest_on_disk().value_or(kNone) > restored) return;
  // Nor is one to come that the run before it saves.
  const std::vector<JobPtr> jobs = queue_.jobs();
  const bool comes = std::ranges::any_of(jobs, [&](const JobPtr& job) {
    return !job->settled && job->step > restored && job->roll_back != roll_backs_;
  });
  // A restore may begin another meanwhile.
  if (!comes) restored_older_.compare_exchange_strong(restored, kNone);
}

void CheckpointManager::Impl::check_mode(const args::RestoreArgs& args) const {
  const auto* named = std::get_if<args::CompositeRestore>(&args.value);
  if (named != nullptr && named->items.empty()) return;  // all there is
  const std::lock_guard lock(mutex_);
  if (!composite_ || *composite_ == (named != nullptr)) return;
  throw with_operation(ErrorCode::invalid_argument,
                       *composite_ ? "earlier saves had several items, this restore names none"
                                   : "earlier saves had a single item, this is a CompositeRestore",
                       "", "",
                       *composite_ ? "Name the items in a CompositeRestore, or give no arguments"
                                   : "Give the item's arguments alone, or none");
}

Task<std::string> CheckpointManager::Impl::path_of_step(std::string root_path, Step step) {
  FolderPtr root = co_await open_folder(engine, root_path);
  const std::optional<std::string> name = co_await find_step(root, rules, step);
  if (!name) co_await explain_missing_step(root, rules, rules.names->name(step));
  co_return join_path(root_path, *name);
}

Task<Step> CheckpointManager::Impl::newest_step(std::string root_path) {
  FolderPtr root = co_await open_folder(engine, root_path);
  const std::vector<ListedStep> steps = co_await list_committed_steps(root, rules);
  if (steps.empty())
    throw with_operation(ErrorCode::not_found, "there is no step to restore", "", root_path);
  co_return steps.back().step;
}

Task<Restored> CheckpointManager::Impl::restore_from(std::string root_path, Step step,
                                                     args::RestoreArgs args) {
  const auto self = shared_from_this();
  const std::string path = co_await path_of_step(root_path, step);
  if (root_path == directory) check_mode(args);
  co_return co_await restore_step(engine, path, step, std::move(args), reader_settings(step));
}

void CheckpointManager::Impl::report_restored(const std::string& root_path, Step step,
                                              const Restored& restored, std::int64_t begin_ns) {
  log(LogLevel::info, "restore", step, "restored", element_bytes(restored),
      steady_ns(*engine) - begin_ns);
  if (root_path == directory) note_restored(step);
}

std::exception_ptr CheckpointManager::Impl::report_unrestored(const std::string& root_path,
                                                              std::optional<Step> step,
                                                              const std::exception_ptr& failure,
                                                              std::int64_t begin_ns) {
  const std::exception_ptr error = as_error(failure, "", root_path);
  const bool cancelled = code_of(error) == ErrorCode::cancelled;
  log(cancelled ? LogLevel::info : LogLevel::error, "restore", step, message_of(error), 0,
      steady_ns(*engine) - begin_ns);
  return error;
}

Task<Restored> CheckpointManager::Impl::restore_alone(std::string root_path,
                                                      std::optional<Step> step,
                                                      args::RestoreArgs args) {
  const auto self = shared_from_this();
  const std::int64_t begin = steady_ns(*engine);
  std::exception_ptr failure;
  try {
    if (!step) step = co_await newest_step(root_path);
    Restored restored = co_await restore_from(root_path, *step, std::move(args));
    report_restored(root_path, *step, restored, begin);
    co_return restored;
  } catch (...) {
    failure = std::current_exception();
  }
  std::rethrow_exception(report_unrestored(root_path, step, failure, begin));
}

Task<boost::json::object> CheckpointManager::Impl::find_metrics(Step step) {
  const auto self = shared_from_this();
  const std::string path = co_await path_of_step(directory, step);
  OpenStepPtr opened = co_await open_step(engine, path);
  boost::json::object metrics = co_await read_metrics(opened);
  co_await close_step(opened);
  co_return metrics;
}

Future<boost::json::object> CheckpointManager::Impl::metrics(Step step) {
  return start(engine, find_metrics(step), "read metrics of step " + std::to_string(step),
               directory);
}

ReaderSettings CheckpointManager::Impl::reader_settings(Step step) const {
  ReaderSettings settings;
  settings.registry = options.handlers;
  settings.item_name = options.item_name;
  settings.warn = [writer = writer_, step](std::string message) {
    writer->log(LogLevel::warning, "metadata", step, std::move(message));
  };
  return settings;
}

Task<StepMetadata> CheckpointManager::Impl::find_step_metadata(Step step) {
  const auto self = shared_from_this();
  const std::string path = co_await path_of_step(directory, step);
  co_return co_await read_step_metadata(engine, path, reader_settings(step));
}

Task<ItemsMetadata> CheckpointManager::Impl::find_item_metadata(Step step) {
  StepMetadata metadata = co_await find_step_metadata(step);
  co_return std::move(metadata.item_metadata);
}

Future<StepMetadata> CheckpointManager::Impl::step_metadata(Step step) {
  return start(engine, find_step_metadata(step), "read metadata of step " + std::to_string(step),
               directory);
}

Future<ItemsMetadata> CheckpointManager::Impl::item_metadata(Step step) {
  return start(engine, find_item_metadata(step),
               "read metadata of the items of step " + std::to_string(step), directory);
}

Task<RootMetadata> CheckpointManager::Impl::find_root_metadata() {
  const auto self = shared_from_this();
  RootMetadata metadata;
  if (!options.save_root_metadata) co_return metadata;
  FolderPtr root = co_await open_folder(engine, directory);
  auto found = co_await read_root_metadata(root);
  if (found) {
    metadata = std::move(*found);
  } else {
    metadata.custom_metadata = options.metadata;  // read_only: nobody has written it
  }
  co_return metadata;
}

Future<RootMetadata> CheckpointManager::Impl::root_metadata() {
  return start(engine, find_root_metadata(), "read root metadata", directory);
}

Future<void> CheckpointManager::Impl::wait_until_finished() {
  if (engine->forked()) return failed<void>(forked_error("wait"));
  return Future<void>(board.wait());
}

Task<void> CheckpointManager::Impl::close_all() {
  const auto self = shared_from_this();
  end_waits();
  std::vector<std::exception_ptr> errors;
  const Future<void> finished(board.wait());
  auto [first] = co_await finished.result(kAsTuple);
  if (first) errors.push_back(first);
  if (const Event drained = drained_) {
    const Future<void> over(drained);
    auto [ended] = co_await over.result(kAsTuple);
    static_cast<void>(ended);
    // What went wrong in the background since.
    const Future<void> again(board.wait());
    auto [second] = co_await again.result(kAsTuple);
    if (second) errors.push_back(second);
  }
  if (const DeletePtr deferred = begin_deferred()) {
    const Future<void> gone(deferred->done);
    auto [ended] = co_await gone.result(kAsTuple);
    static_cast<void>(ended);
  }
  if (const std::exception_ptr error = combine(errors)) std::rethrow_exception(error);
}

Future<void> CheckpointManager::Impl::close() {
  if (engine->forked()) return failed<void>(forked_error("close"));
  if (RuleScope::inside(this)) return failed<void>(rule_error("close"));
  {
    const std::lock_guard lock(calls_);
    ++calls_begun_;
    closed_ = true;
  }
  if (preemption_) preemption_->stop();
  return start(engine, close_all(), "close", directory);
}

}  // namespace cairn
