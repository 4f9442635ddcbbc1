#include <cairn/engine/deadline.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_reader.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cassert>
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

void check_options(const ManagerOptions& options) {
  auto refuse = [](std::string reason) {
    ErrorContext context;
    context.operation = "open manager";
    throw Error(ErrorCode::invalid_argument, std::move(reason), context);
  };
  if (options.save_interval_steps < 1) {
    refuse("save_interval_steps is " + std::to_string(options.save_interval_steps) +
           ", it must be at least 1");
  }
  if (options.max_to_keep && *options.max_to_keep < 0) {
    refuse("max_to_keep is " + std::to_string(*options.max_to_keep) + ", it must not be negative");
  }
  if (options.max_link_age < 0) {
    refuse("max_link_age is " + std::to_string(options.max_link_age) + ", it must not be negative");
  }
  if (options.async_timeout.count() <= 0) refuse("async_timeout must be positive");
  if (options.no_progress_timeout.count() < 0) refuse("no_progress_timeout must not be negative");
  if (options.lock_timeout.count() < 0) refuse("lock_timeout must not be negative");
  if (options.item_name.empty() || options.item_name.find('/') != std::string::npos ||
      options.item_name[0] == '.') {
    refuse("item_name '" + options.item_name + "' is not a directory name");
  }
}

Task<std::vector<Step>> list_root(EnginePtr engine, std::string path, bool create) {
  FolderPtr root;
  if (create) {
    root = co_await make_folder_path(engine, path);
  } else {
    root = co_await open_folder(engine, path);
  }
  co_return co_await list_committed_steps(root);
}

Task<void> sync_root(EnginePtr engine, std::string path) {
  FolderPtr root = co_await open_folder(engine, path);
  co_await sync_folder(root);
}

}  // namespace

CheckpointManager::Impl::Impl(std::string d, ManagerOptions o)
    : directory(absolute_path(std::move(d))),
      options(std::move(o)),
      engine(options.engine ? options.engine : engine::Engine::shared_default()) {
  check_options(options);
  writer_ =
      std::make_shared<WriterContext>(engine, directory, Owner().text(), options.lock_timeout);
}

void CheckpointManager::Impl::open() {
  std::weak_ptr<Impl> weak = weak_from_this();
  writer_->log = [weak](LogLevel level, std::string event, std::optional<Step> step,
                        std::string message) {
    if (auto self = weak.lock()) self->log(level, std::move(event), step, std::move(message));
  };
  check_usable();
  list_directory(options.create, "open manager");
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

void CheckpointManager::Impl::list_directory(bool create, const std::string& operation) {
  const std::size_t mark = index.begin_listing();
  try {
    index.end_listing(
        mark, start(engine, list_root(engine, directory, create), operation, directory).get());
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
      start(engine, sync_root(engine, directory), "reload", directory).get();
    } catch (...) {
      commit_unknown_ = true;
      throw;
    }
  }
  list_directory(false, "reload");
}

bool CheckpointManager::Impl::should_save(Step step) const {
  return decide(step, SaveOptions()) == SaveOutcome::saved;
}

SaveOutcome CheckpointManager::Impl::decide(Step step, const SaveOptions& save_options) const {
  if (save_options.force || (save_options.overwrite && index.contains(step)))
    return SaveOutcome::saved;
  const std::optional<Step> latest = index.latest();
  if (latest && *latest >= step) return SaveOutcome::skipped_older_step;
  if (latest && step % options.save_interval_steps != 0) return SaveOutcome::skipped_by_policy;
  return SaveOutcome::saved;
}

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
  if (auto* tree = std::get_if<args::StandardSave>(&item)) {
    TreeSettings settings;
    settings.codec = options.codec;
    settings.layout = options.layout;
    settings.capture = job.options.capture;
    settings.encode_policy = options.encode_policy;
    settings.pace = writer_->pace;
    settings.incremental = options.incremental;
    settings.max_link_age = options.max_link_age;
    settings.warn = [writer = writer_, step = job.step](std::string message) {
      writer->log(LogLevel::warning, "link", step, std::move(message));
    };
    job.items.emplace_back(name,
                           make_tree_saver(name, std::move(*tree), std::move(settings), job.state));
  } else {
    job.items.emplace_back(
        name, make_json_saver(name, "metadata", std::move(std::get<args::JsonSave>(item).value),
                              job.state));
  }
}

void CheckpointManager::Impl::add_items(SaveJob& job, args::SaveArgs args) const {
  if (auto* composite = std::get_if<args::Composite>(&args.value)) {
    if (composite->items.empty()) {
      throw with_operation(ErrorCode::invalid_argument, "a Composite without items saves nothing",
                           "", "");
    }
    for (auto& [name, item] : composite->items) add_item(job, name, std::move(item));
  } else if (auto* tree = std::get_if<args::StandardSave>(&args.value)) {
    add_item(job, options.item_name, std::move(*tree));
  } else {
    add_item(job, options.item_name, std::move(std::get<args::JsonSave>(args.value)));
  }
  if (!job.options.metrics.empty()) {
    job.items.emplace_back("metrics",
                           make_json_saver("metrics", "metrics", job.options.metrics, job.state));
  }
}

SaveFuture CheckpointManager::Impl::save(Step step, args::SaveArgs args, SaveOptions save_options) {
  auto state = std::make_shared<SaveState>(engine, writer_->heart);
  SaveFuture future(state, state->staged_state, state->committed_state);
  auto fail = [&](std::exception_ptr error) {
    error = as_error(std::move(error), "save step " + std::to_string(step), directory);
    if (!engine->forked()) {
      // Dropped futures must not hide it.
      board.begin();
      report_failure(*state, step, error);
      board.end();
    } else {
      state->staged_state->set(impl::own_copy(error), impl::Unit());
      state->committed_state->set(impl::own_copy(error), SaveResult());
    }
    return future;
  };
  const bool composite = std::holds_alternative<args::Composite>(args.value);
  try {
    check_usable();
    if (step < 0)
      throw with_operation(ErrorCode::invalid_argument, "steps are not negative", "", "");
    auto job = std::make_shared<SaveJob>(writer_, step, std::move(save_options), state);
    job->started_ns = steady_ns(*engine);
    job->composite = composite;
    job->require_full_staging = options.require_full_staging;
    const std::lock_guard lock(mutex_);
    if (closed_) throw with_operation(ErrorCode::closed, "the manager is closed", "", "");
    // Until one has committed, a save under way stands for the mode that it will fix.
    const auto undecided =
        std::ranges::find_if(queue_, [](const JobPtr& queued) { return !queued->settled; });
    const std::optional<bool> mode = composite_ || undecided == queue_.end()
                                         ? composite_
                                         : std::optional((*undecided)->composite);
    if (mode && *mode != composite) {
      throw with_operation(ErrorCode::invalid_argument,
                           *mode ? "earlier saves had several items, this one is not a Composite"
                                 : "earlier saves had a single item, this one is a Composite",
                           "", "", "Use one form throughout, or another manager");
    }
    const SaveOutcome outcome = decide(step, job->options);
    if (outcome != SaveOutcome::saved) {
      SaveResult skipped;
      skipped.outcome = outcome;
      skipped.step = step;
      state->staged_state->set(nullptr, impl::Unit());
      state->committed_state->set(nullptr, skipped);
      return future;
    }
    if (index.contains(step) && !job->options.overwrite) {
      throw with_operation(ErrorCode::already_exists, "the step is there already", "", "",
                           "Save with overwrite, delete the step first, or choose another number");
    }
    add_items(*job, std::move(args));
    enqueue(job);
  } catch (...) {
    return fail(std::current_exception());
  }
  return future;
}

void CheckpointManager::Impl::enqueue(const JobPtr& job) {
  if (!queue_.empty()) job->before_staged = queue_.back()->staged;
  // One runs and max_pending wait with their arrays captured: the next takes the place of the one
  // that far back.
  const std::size_t ahead = options.max_pending + 1;
  if (queue_.size() >= ahead) job->place = queue_[queue_.size() - ahead]->done;
  queue_.push_back(job);
  job->losers = index.begin_save(job->step, options.max_to_keep);
  ++saving_;
  board.begin();
  asio::post(engine->executor(), [self = shared_from_this(), job] {
    ++self->writers_;
    auto guarded = asio::bind_cancellation_slot(job->state->signal.slot(), asio::detached);
    asio::co_spawn(self->engine->executor(), self->run_save(job), std::move(guarded));
  });
}

Task<void> CheckpointManager::Impl::run_save(JobPtr job) {
  const auto self = shared_from_this();
  auto watchdog = watch(job, &Impl::expire);
  std::exception_ptr failure;
  std::optional<std::string> replaced;
  try {
    replaced = co_await job->run();
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::exception_ptr trouble;
  if (failure) {
    failure = as_error(failure, "save step " + std::to_string(job->step), directory);
    job->failure = failure;
    try {
      if (code_of(failure) != ErrorCode::commit_unknown) co_await job->clean_up();
    } catch (...) {
      trouble = std::current_exception();
    }
  }
  // A save that missed its deadline has returned its losers: they stay.
  const bool deletes = !failure && !job->settled;
  settle(job, failure);
  watchdog.reset();
  if (deletes) {
    watchdog = watch(job, &Impl::expire_clean_up);
    try {
      co_await delete_losers(job, replaced);
    } catch (...) {
      trouble = std::current_exception();
    }
  }
  if (trouble) log(LogLevel::warning, "cleanup", job->step, message_of(trouble));
  watchdog.reset();
  job->items.clear();
  job->end_turn();
  end_writing();
  release(job);
  job->quarantine.release();
}

void CheckpointManager::Impl::release(const JobPtr& job) {
  if (std::exchange(job->released, true)) return;
  {
    const std::lock_guard lock(mutex_);
    std::erase(queue_, job);
  }
  if (!job->staged->ready()) {
    // It has taken no memory, but the save before it may still be taking some: whoever waits for
    // this one waits for that.
    Event staged = job->staged;
    auto pass_on = [staged](const std::exception_ptr&) {
      if (!staged->ready()) staged->set(nullptr, impl::Unit());
    };
    if (job->before_staged) {
      job->before_staged->when_ready(job->before_staged->next_id(), std::move(pass_on));
    } else {
      pass_on(nullptr);
    }
  }
  job->done->set(nullptr, impl::Unit());
  board.end();
}

void CheckpointManager::Impl::report_failure(SaveState& state, Step step,
                                             const std::exception_ptr& failure) {
  log(LogLevel::error, "save", step, message_of(failure));
  auto entry = std::make_shared<ErrorBoard::Entry>(impl::own_copy(failure));
  board.fail(entry);
  auto seen = [entry] { entry->seen = true; };
  if (!state.staged_state->ready()) {
    state.staged_state->on_delivered = seen;
    state.staged_state->set(impl::own_copy(failure), impl::Unit());
  }
  state.committed_state->on_delivered = seen;
  state.committed_state->set(impl::own_copy(failure), SaveResult());
}

void CheckpointManager::Impl::settle_failed(const JobPtr& job, const std::exception_ptr& failure) {
  index.abort(job->step, job->losers);
  if (code_of(failure) == ErrorCode::commit_unknown) commit_unknown_ = true;
  report_failure(*job->state, job->step, failure);
}

void CheckpointManager::Impl::settle(const JobPtr& job, std::exception_ptr failure) {
  const bool late = job->settled.exchange(true);
  if (!late) --saving_;
  if (failure) {
    if (!late) settle_failed(job, failure);
    return;
  }
  index.commit(job->step);
  {
    const std::lock_guard lock(mutex_);
    if (!composite_) composite_ = job->composite;
  }
  SaveResult result = job->result();
  result.warning = board.unseen_text();
  if (late) {
    log(LogLevel::warning, "save", job->step, "committed after its deadline", result.bytes,
        result.commit_ns);
    return;
  }
  log(LogLevel::info, "save", job->step, "saved", result.bytes, result.commit_ns);
  job->state->committed_state->set(nullptr, result);
}

}  // namespace cairn
