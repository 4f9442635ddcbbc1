#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/manager_options.h>
#include <cairn/manager/internal/process_options.h>
#include <cairn/manager/internal/root_metadata.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_records.h>

#include <filesystem>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

/// So that a later chdir() sends nothing elsewhere.
std::string absolute_path(std::string path) {
  if (path.empty())
    throw with_operation(ErrorCode::invalid_argument, "the root's path is empty", "open manager",
                         "");
  return std::filesystem::absolute(path).string();
}

SaveDecisionPolicy save_decision_of(const ManagerOptions& options) {
  if (options.save_decision_policy) return options.save_decision_policy;
  SaveDecisionOptions decision;
  decision.save_interval_steps = options.save_interval_steps;
  decision.save_on_steps = options.save_on_steps;
  decision.should_save_fn = options.should_save_fn;
  return default_save_decision(std::move(decision));
}

Task<void> sync_step(FolderPtr root, std::string name) {
  FolderPtr folder;
  try {
    folder = co_await open_subfolder(root, name);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
  }
  // Deleted meanwhile, it need not stay.
  if (folder) co_await sync_folder(folder);
}

/// What is there by now survives a loss of power.
Task<void> sync_root(EnginePtr engine, std::string path, StepRules rules) {
  FolderPtr root = co_await open_folder(engine, path);
  co_await sync_folder(root);
  if (rules.atomicity == Atomicity::rename) co_return;
  // Each counts by its marker, which is in its own directory.
  const std::vector<ListedStep> steps = co_await list_committed_steps(root, rules);
  for (const ListedStep& step : steps) co_await sync_step(root, step.name);
}

Task<void> put_root_metadata(EnginePtr engine, std::string path, boost::json::object custom) {
  FolderPtr root = co_await open_folder(engine, path);
  co_await write_root_metadata(root, std::move(custom));
}

}  // namespace

ManagerOptions CheckpointManager::Impl::prepare(ManagerOptions given) {
  check_options(given);
  if (given.read_only) reset_options_ = reset_for_read_only(given);
  return given;
}

CheckpointManager::Impl::Impl(std::string d, ManagerOptions o)
    : directory(absolute_path(std::move(d))),
      options(prepare(std::move(o))),
      rules(rules_of(options)),
      engine(options.engine ? options.engine : engine::Engine::shared_default()),
      retention_(options),
      save_decision_(save_decision_of(options)),
      group_(group_of(options)),
      needs_records_(retention_.deletes() || options.best_fn || options.save_decision_policy),
      queue_(options.max_pending) {
  writer_ = std::make_shared<WriterContext>(engine, directory, rules, Owner().text(),
                                            options.lock_timeout);
  writer_->directory_mode = options.path_permission_mode.value_or(kDirectoryMode);
}

void CheckpointManager::Impl::open() {
  std::weak_ptr<Impl> weak = weak_from_this();
  writer_->log = [weak](LogLevel level, std::string event, std::optional<Step> step,
                        std::string message) {
    if (auto self = weak.lock()) self->log(level, std::move(event), step, std::move(message));
  };
  check_usable();
  std::string reset;
  for (const std::string& name : reset_options_) reset += (reset.empty() ? "" : ", ") + name;
  if (!reset.empty()) {
    log(LogLevel::warning, "options", std::nullopt, "read_only makes these pointless: " + reset);
  }
  const GroupScopePtr scope = next_scope("open", listings_);
  list_directory(options.create, needs_records_ && !options.lightweight_initialize, "open manager",
                 scope);
  if (!scope) start(engine, prepare_root(), "open manager", directory).get();
  opened_ = true;
  if (!group_) return;
  preemption_ = std::make_shared<PreemptionAgreement>(group_, engine);
  preemption_->watch();
}

Task<void> CheckpointManager::Impl::prepare_root() {
  const auto self = shared_from_this();
  if (options.cleanup_tmp_directories) co_await clean_up_root();
  if (options.metadata.empty() || !options.save_root_metadata || options.read_only) co_return;
  boost::json::object metadata = options.metadata;
  co_await put_root_metadata(engine, directory, std::move(metadata));
}

Task<void> CheckpointManager::Impl::clean_up_root() {
  // Nobody else holds the lock yet: this is the constructor.
  ++writers_;
  std::exception_ptr failure;
  try {
    FolderPtr root = co_await begin_writing(writer_);
    const std::size_t removed = co_await remove_leftovers(root, rules);
    if (removed > 0) {
      log(LogLevel::info, "cleanup", std::nullopt,
          "removed " + std::to_string(removed) + " temporary directories");
    }
  } catch (...) {
    failure = std::current_exception();
  }
  co_await end_writing();
  if (!failure) co_return;
  // Another writer's temporary directories are in use, and this manager may never write.
  if (code_of(failure) != ErrorCode::busy) std::rethrow_exception(failure);
  log(LogLevel::warning, "cleanup", std::nullopt, message_of(failure));
}

void CheckpointManager::Impl::check_usable() const {
  if (engine->forked()) throw forked_error("use manager");
}

void CheckpointManager::Impl::log(LogLevel level, std::string event, std::optional<Step> step,
                                  std::string message, std::uint64_t bytes,
                                  std::int64_t duration_ns) {
  if (!options.logger) return;
  LogRecord record;
  record.level = level;
  record.event = std::move(event);
  record.step = step;
  record.message = std::move(message);
  record.bytes = bytes;
  record.duration_ns = duration_ns;
  const std::lock_guard lock(log_mutex_);
  try {
    options.logger->log(record);
  } catch (...) {  // NOLINT(bugprone-empty-catch): a logger that breaks its contract must not cost
                   // a save
  }
}

WarnStep CheckpointManager::Impl::warn_step() const {
  return [writer = writer_](Step step, std::string message) {
    writer->log(LogLevel::warning, "list", step, std::move(message));
  };
}

Task<std::vector<StepRecord>> CheckpointManager::Impl::list_root(bool create, bool read) {
  FolderPtr root;
  if (create) {
    root = co_await make_folder_path(engine, directory, writer_->directory_mode);
  } else {
    root = co_await open_folder(engine, directory);
  }
  std::vector<ListedStep> steps = co_await list_committed_steps(root, rules);
  if (!read) co_return unread_records(steps);
  co_return co_await read_step_records(root, std::move(steps), warn_step());
}

void CheckpointManager::Impl::list_directory(bool create, bool read, const std::string& operation,
                                             const GroupScopePtr& scope) {
  const StepIndex::Listing begun = index.begin_listing();
  try {
    auto listing = scope ? list_together(create, read, scope) : list_root(create, read);
    index.end_listing(begun, start(engine, std::move(listing), operation, directory).get());
    end_lone_roll_back();
  } catch (...) {
    index.abort_listing();
    throw;
  }
}

void CheckpointManager::Impl::reload() {
  check_usable();
  if (commit_unknown_.exchange(false)) {
    // What is listed must be what a power loss leaves.
    try {
      start(engine, sync_root(engine, directory, rules), "reload", directory).get();
    } catch (...) {
      commit_unknown_ = true;
      throw;
    }
  }
  // Everybody reads the list, or the primary for all.
  const bool for_all = shares_root() && options.single_host_load_and_broadcast;
  list_directory(false, needs_records_, "reload",
                 for_all ? next_scope("reload", listings_) : nullptr);
}

}  // namespace cairn
