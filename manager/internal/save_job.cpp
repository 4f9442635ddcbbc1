#include <cairn/codecs/orbax.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/save_job.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/verification.h>

#include <algorithm>

namespace cairn::internal {
namespace {

/// Bytes of staging that a worker has the kernel provide before others may have the worker: some
/// milliseconds.
constexpr std::size_t kProvidedAtOnce = 4u << 20;

/// Waits for an event of another save; only whether it is over counts, not how.
Task<void> wait_for(Event event) {
  if (!event || event->ready()) co_return;
  const Future<void> future(event);
  auto [ended] = co_await future.result(kAsTuple);
  static_cast<void>(ended);
}

Task<void> join_items(engine::Nursery* nursery) {
  std::exception_ptr first;
  std::size_t failed = 0;
  std::size_t total = 0;
  try {
    co_await nursery->join();
  } catch (const engine::NurseryError& error) {
    first = error.first();
    failed = error.failed();
    total = error.total();
  }
  if (first) raise_of_items(first, failed, total);
}

}  // namespace

void raise_of_items(const std::exception_ptr& first, std::size_t failed, std::size_t total) {
  if (failed == 1) std::rethrow_exception(first);
  const Error error = known_error(as_error(first, "", ""));
  throw Error(error.code(),
              std::to_string(failed) + " of " + std::to_string(total) +
                  " items failed, first: " + error.reason(),
              error.context());
}

std::int64_t steady_ns(engine::Engine& engine) {
  return engine.clock().steady().count();
}

Task<void> wait_for_turn(std::shared_ptr<WriterContext> context, WriterTurn::Place* place) {
  const Future<void> called(place->called());
  auto [ended] = co_await called.result(kAsTuple);
  if (ended) raise_failure(asio::error::operation_aborted, "wait for the turn", context->root_path);
}

namespace {

/// What an earlier process could not remove any more. It is only space: no reason to refuse a save,
/// nor to keep one waiting that is in a hurry.
Task<void> clear_leftovers(std::shared_ptr<WriterContext> context, FolderPtr root) {
  if (context->removals_wait()) co_return;
  const auto gate = std::make_shared<PauseGate>();
  context->clearing = gate;
  std::size_t removed = 0;
  std::exception_ptr trouble;
  try {
    removed = co_await remove_leftover_trash(root, context->rules, gate);
  } catch (...) {
    trouble = std::current_exception();
  }
  context->clearing = nullptr;
  if (trouble && !gate->closed()) {
    context->log(LogLevel::warning, "cleanup", std::nullopt, message_of(trouble));
  }
  if (removed > 0) {
    context->log(
        LogLevel::info, "cleanup", std::nullopt,
        "removed " + std::to_string(removed) + " deleted steps that an earlier process left");
  }
}

}  // namespace

Task<FolderPtr> begin_writing(std::shared_ptr<WriterContext> context) {
  engine::Clock& clock = context->engine->clock();
  const engine::Clock::Duration give_up = clock.steady() + context->lock.timeout();
  FolderPtr root = co_await open_folder(context->engine, context->root_path, context->heart);
  root->mode = context->directory_mode;
  // Whoever finds the lock held must find the leftovers gone too, or left alone: new ones look like
  // them.
  auto [error, permit] = co_await context->locking.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait for the lock", context->root_path);
  if (context->lock.held()) co_return root;
  const std::string warning = co_await context->lock.acquire(root, give_up);
  if (!warning.empty()) context->log(LogLevel::warning, "lock", std::nullopt, warning);
  co_await clear_leftovers(context, root);
  co_return root;
}

SaveJob::SaveJob(std::shared_ptr<WriterContext> context, Step s, SaveOptions o,
                 std::shared_ptr<SaveState> st)
    : step(s), options(std::move(o)), state(std::move(st)), context_(std::move(context)) {}

void SaveJob::check_cancelled() const {
  if (!state->cancel_requested) return;
  throw Error(ErrorCode::cancelled, "cancelled by SaveFuture::cancel()", ErrorContext());
}

void SaveJob::check_staging() const {
  if (!streamed_ || !require_full_staging) return;
  ErrorContext context;
  context.remedy = "Raise EngineOptions::staging_bytes, or turn require_full_staging off";
  throw Error(ErrorCode::resource_exhausted,
              "the state does not fit into staging (" +
                  std::to_string(context_->engine->staging().capacity()) + " bytes)",
              context);
}

Task<std::optional<std::string>> SaveJob::run() {
  // Cancellation ends waits and operations under way; where the save stops is decided here, by
  // check_cancelled(), so that nothing is left half done.
  co_await asio::this_coro::throw_if_cancelled(false);
  engine::Engine& engine = *context_->engine;
  init_timestamp_ns_ = engine.clock().now_ns();
  check_cancelled();
  const double disk_rate = context_->pace->disk_rate;
  for (auto& [name, item] : items) {
    co_await item->agree(disk_rate);
    check_cancelled();
  }
  auto plan = [this, disk_rate] { plan_items(disk_rate); };
  CallerMemory::Use sampled = state->memory.use();
  co_await engine::async_run(engine.cpu(), std::move(plan), asio::use_awaitable);
  sampled.reset();
  check_cancelled();
  for (auto& [name, item] : items) staging_bytes_ += takes_part(*item) ? item->staging_bytes() : 0;
  streamed_ = staging_bytes_ > engine.staging().capacity();
  check_staging();
  // A cancellation ends one wait, not those that begin after it.
  co_await wait_for_capture();
  if (context_->lock.timeout().count() > 0 && !joins()) {
    // It may take as long as another process likes, and staging memory is for those that write.
    root_ = co_await begin_writing(context_);
    check_cancelled();
  }

  engine::Nursery transfer(engine.executor());
  transfer.spawn(telling(scope, open_step()));
  transfer.spawn(telling(scope, capture_items(&transfer)));
  co_await transfer.join();
  check_cancelled();

  co_await finish_items();
  check_cancelled();
  co_await run_callback();
  check_cancelled();
  if (joins()) {
    co_await hear_commit();
    co_return std::nullopt;
  }
  if (scope) co_await ready_everywhere();
  check_cancelled();
  std::exception_ptr failed;
  std::optional<std::string> replaced;
  try {
    replaced = co_await commit();
  } catch (...) {
    failed = std::current_exception();
  }
  // Where each process commits by itself, settling tells the others that one has failed.
  const bool tells = scope && (!failed || scope->group().shares_root());
  if (tells) co_await tell_outcome(failed);
  if (failed) std::rethrow_exception(failed);
  co_return replaced;
}

Task<std::optional<std::string>> SaveJob::commit() {
  co_await write_step_metadata(true);
  co_await directory_->seal();
  check_cancelled();
  co_await verify_replacement();
  check_cancelled();
  state->past_recall = true;
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::optional<std::string> replaced = co_await directory_->commit(options.overwrite);
  committed_ns_ = steady_ns(*context_->engine);
  co_return replaced;
}

Task<void> SaveJob::verify_replacement() {
  // Afterwards it would be too late: the commit takes the old step's name, and whoever writes next
  // removes what has none.
  if (verify == VerifyBeforeDelete::none || !directory_->replaces()) co_return;
  const FolderPtr& folder = directory_->folder();
  const VerifyReport report = co_await check_step_in(folder, verify == VerifyBeforeDelete::full);
  refuse_damaged(report, step, "the old one stays");
  verified_ = true;
}

Task<void> SaveJob::wait_for_capture() {
  check_cancelled();
  while (const Event ahead = before_capture()) {
    co_await wait_for(ahead);
    check_cancelled();
  }
}

void SaveJob::prefer() {
  preferred_ = true;
  if (captured_ && turn_) context_->turn.prefer(*turn_);
}

void SaveJob::allow_relief() noexcept {
  if (context_->removals->paused()) {
    end_turn();
  } else if (turn_) {
    WriterTurn::allow_relief(*turn_);
  }
}

Task<void> SaveJob::open_step() {
  if (joins()) {
    co_await join_step();
    co_return;
  }
  turn_ = context_->turn.line_up();
  if (preferred_) prefer();
  co_await wait_for_turn(context_, turn_.get());
  if (!root_) root_ = co_await begin_writing(context_);
  directory_ = std::make_shared<StepDirectory>(root_, context_->rules, step, context_->owner);
  co_await directory_->create(options.overwrite);
  co_await write_step_metadata(false);
  opened->set(nullptr, impl::Unit());
  for (auto& [name, item] : items) co_await item->open(root_, directory_->folder());
  if (scope) co_await show_step();
}

Task<void> SaveJob::capture_items(engine::Nursery* nursery) {
  for (auto& [name, item] : items) {
    if (takes_part(*item)) co_await item->capture(nursery);
  }
  staged_ns_ = steady_ns(*context_->engine);
  captured_ = true;
  if (options.capture == Capture::copy) {
    context_->pace->staged_bytes = std::max(context_->pace->staged_bytes, staging_bytes_);
    nursery->spawn(provide_staging());
  }
  if (preferred_) prefer();
  // Not after a missed deadline, which has answered already.
  if (!state->staged_state->ready()) state->staged_state->set(nullptr, impl::Unit());
  if (scope) co_await captured_everywhere();
  if (!staged->ready()) staged->set(nullptr, impl::Unit());
}

Task<void> SaveJob::provide_staging() {
  engine::BufferArena& staging = context_->engine->staging();
  const std::uint64_t wanted = std::min<std::uint64_t>(staging_bytes_, staging.capacity());
  // A save in a hurry is the last one.
  while (state->written.load() < state->total.load() && !preferred_ && !state->cancel_requested) {
    const std::size_t there = staging.stats().committed_bytes;
    if (there >= wanted) co_return;
    const std::size_t bytes = std::min<std::size_t>(kProvidedAtOnce, wanted - there);
    bool going_on = false;
    auto provide = [this, &staging, &going_on, there, bytes] {
      if (state->written.load() == state->total.load()) return;  // nobody waits for this worker
      going_on = !staging.prefault(bytes, there);  // else whoever needs the memory is told
    };
    auto [failed] =
        co_await engine::async_run(context_->engine->cpu(), std::move(provide), kAsTuple);
    if (failed || !going_on) co_return;
  }
}

/// Every item, so that one error says what all of them are refused for.
void SaveJob::plan_items(double disk_rate) {
  std::exception_ptr first;
  std::size_t failed = 0;
  for (auto& [name, item] : items) {
    if (!takes_part(*item)) continue;
    try {
      item->plan(disk_rate);
    } catch (...) {
      if (failed++ == 0) first = std::current_exception();
    }
  }
  if (first) raise_of_items(first, failed, items.size());
}

Task<void> SaveJob::finish_items() {
  engine::Nursery data(context_->engine->executor());
  for (auto& [name, item] : items) {
    if (takes_part(*item)) data.spawn(telling(scope, item->finish_data()));
  }
  co_await join_items(&data);
  check_cancelled();
  engine::Nursery metadata(context_->engine->executor());
  for (auto& [name, item] : items) {
    if (takes_part(*item)) metadata.spawn(telling(scope, item->finish_metadata()));
  }
  co_await join_items(&metadata);
}

Task<void> SaveJob::write_step_metadata(bool committed) {
  orbax::StepMetadata metadata;
  for (auto& [name, item] : items) metadata.item_handlers[name] = std::string(item->handler());
  metadata.metrics = options.metrics;
  metadata.init_timestamp_ns = init_timestamp_ns_;
  metadata.custom_metadata = options.custom_metadata;
  const std::string name(orbax::kStepMetadataFile);
  if (!committed) {
    // Tells whoever finds the directory when the save began; the commit's file takes its place.
    co_await write_unsynced_file(directory_->folder(), name, orbax::encode(metadata));
    co_return;
  }
  commit_timestamp_ns_ = context_->engine->clock().now_ns();
  metadata.commit_timestamp_ns = commit_timestamp_ns_;
  std::string text = orbax::encode(metadata);
  state->stored += text.size();
  co_await remove_tree(directory_->folder(), name);
  co_await write_file(directory_->folder(), name, std::move(text));
}

Task<void> SaveJob::run_callback() {
  if (!callback) co_return;
  auto call = [this] {
    try {
      callback(step);
    } catch (const Error&) {
      throw;  // it says what it is
    } catch (...) {
      throw with_operation(
          ErrorCode::invalid_argument,
          "post_finalization_callback threw: " + message_of(std::current_exception()), "", "",
          "The step is not committed: see to the callback, and save again");
    }
  };
  co_await engine::async_run(context_->engine->cpu(), std::move(call), asio::use_awaitable);
}

Task<void> SaveJob::clean_up() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  items.clear();  // closes their files and lets the arrays go
  if (scope) co_await stopped_everywhere();
  if (directory_) co_await directory_->discard();
}

SaveResult SaveJob::result() const {
  SaveResult result;
  result.outcome = SaveOutcome::saved;
  result.step = step;
  result.bytes = state->total.load();
  result.stored_bytes = state->stored.load();
  for (const auto& [name, item] : items) {
    std::optional<ItemSummary> summary = item->summary();
    if (!summary) continue;
    result.bytes_linked += summary->bytes_linked;
    result.items.push_back(std::move(*summary));
  }
  result.stage_ns = staged_ns_ - state->started_ns;
  result.commit_ns = committed_ns_ - state->started_ns;
  result.streamed = streamed_;
  return result;
}

}  // namespace cairn::internal
