// Deciding, queueing, running and settling saves.

#include <cairn/engine/deadline.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/rule_scope.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/preemption.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cassert>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

namespace {

Error preemption_would_block(const std::string& directory) {
  return with_operation(
      ErrorCode::invalid_argument,
      "to wait for the other processes on an engine's own thread would never end",
      "ask whether the job is about to end", directory,
      "Await agree_on_preemption(step) there, before should_save(step) and save(step), too");
}

}  // namespace

bool CheckpointManager::Impl::should_save(Step step) const {
  const Decision decision = decide(step, SaveOptions(), Urgency::by_step, std::nullopt);
  return decision.refused || decision.outcome == SaveOutcome::saved;
}

std::optional<bool> CheckpointManager::Impl::ask_reached(Step step) const {
  const bool noticed = preempted_ || preemption_noticed();
  if (preemption_) return preemption_->reached(step, noticed);
  if (!noticed) return false;
  // The first step that is asked about after the notice is the one.
  Step agreed = kNone;
  return preemption_step_.compare_exchange_strong(agreed, step) || agreed == step;
}

bool CheckpointManager::Impl::wait_reached(Step step) const {
  const std::optional<bool> known = ask_reached(step);
  if (known) return *known;
  if (engine::on_any_strand()) throw preemption_would_block(directory);
  preemption_->decided()->wait();
  return ask_reached(step).value_or(false);
}

bool CheckpointManager::Impl::reached_preemption(Step step) const {
  // Whether there is a notice or not: who gets it wrong learns it before the job is to end.
  if (preemption_ && engine::on_any_strand()) throw preemption_would_block(directory);
  return wait_reached(step);
}

Future<bool> CheckpointManager::Impl::agree_on_preemption(Step step) {
  if (engine->forked()) return failed<bool>(forked_error("agree on preemption"));
  auto state = std::make_shared<impl::SharedState<bool>>();
  const std::optional<bool> known = ask_reached(step);
  if (known) {
    state->set(nullptr, *known);
  } else {
    const Event& decided = preemption_->decided();
    decided->when_ready(decided->next_id(), [agreement = preemption_, state,
                                             step](const std::exception_ptr& /*never cancelled*/) {
      state->set(nullptr, agreement->reached(step, true).value_or(false));
    });
  }
  return Future<bool>(state);
}

bool CheckpointManager::Impl::rolled_back_below(Step step) const noexcept {
  const Step restored = restored_older_;
  return restored != kNone && restored < step;
}

bool CheckpointManager::Impl::supersedes_above(Step step) const {
  return options.on_older_step == OlderStep::supersede && rolled_back_below(step) &&
         index.knows_above(step);
}

CheckpointManager::Impl::Decision CheckpointManager::Impl::decide(
    Step step, const SaveOptions& save_options, Urgency urgency,
    std::optional<bool> reached) const {
  Decision decision;
  if (options.read_only) {
    decision.outcome = SaveOutcome::skipped_read_only;
    return decision;
  }
  // Nobody would go on from a last save that is below the steps of the run that was given up.
  const bool rolls_back = urgency == Urgency::last && rolled_back_below(step);
  if (save_options.overwrite && index.contains(step)) {
    decision.supersedes = rolls_back && supersedes_above(step);
    return decision;
  }
  if (save_options.force && !rolls_back) return decision;
  const std::optional<Step> latest = index.latest();
  if (latest && *latest >= step) {
    const bool skip = !rolled_back_below(step) || options.on_older_step == OlderStep::skip;
    if (skip) {
      decision.outcome = SaveOutcome::skipped_older_step;
      return decision;
    }
    decision.supersedes = options.on_older_step == OlderStep::supersede;
    decision.refused = !decision.supersedes;
  } else {
    decision.supersedes = supersedes_above(step);
  }
  if (save_options.force) return decision;
  decision.outcome = ask_policy(step, latest && *latest >= step, reached);
  if (decision.outcome != SaveOutcome::saved) decision.refused = false;
  return decision;
}

SaveOutcome CheckpointManager::Impl::ask_policy(Step step, bool supersedes,
                                                std::optional<bool> reached) const {
  const auto records = index.records();
  std::vector<CheckpointInfo> previous;
  previous.reserve(records->size());
  for (const StepRecord& record : *records) {
    if (!supersedes || record.info.step < step) previous.push_back(record.info);
  }
  SaveContext context;
  context.is_saving_in_progress = saving();
  context.reached_preemption = reached ? *reached : wait_reached(step);
  context.now_ns = engine->clock().now_ns();
  context.steady_ns = steady_ns(*engine);
  const RuleScope inside(this);
  try {
    return save_decision_(step, previous, context) ? SaveOutcome::saved
                                                   : SaveOutcome::skipped_by_policy;
  } catch (const Error&) {
    throw;  // it says what it is
  } catch (...) {
    throw with_operation(ErrorCode::invalid_argument,
                         "the rule of saving threw: " + message_of(std::current_exception()),
                         "ask whether to save step " + std::to_string(step), directory,
                         "Look at should_save_fn, or save_decision_policy");
  }
}

std::optional<Step> CheckpointManager::Impl::best_step() const {
  if (!options.best_fn) return index.latest();
  const auto records = index.records();
  std::vector<CheckpointInfo> infos;
  infos.reserve(records->size());
  for (const StepRecord& record : *records) infos.push_back(record.info);
  const RuleScope inside(this);
  return cairn::best_step(infos, options.best_fn, options.best_mode);
}

void CheckpointManager::Impl::check_metrics(Step step, const SaveOptions& save_options) {
  if (!options.best_fn || !save_options.metrics.empty()) return;
  const std::string missing = "best_fn ranks steps by their metrics, and none are given";
  if (!options.allow_missing_metrics) {
    throw with_operation(ErrorCode::invalid_argument, missing, "", "",
                         "Give SaveOptions::metrics, or set allow_missing_metrics");
  }
  log(LogLevel::warning, "metrics", step, missing);
}

void CheckpointManager::Impl::check_mode(bool composite) const {
  // Until one has committed, a save under way stands for the mode that it will fix.
  const JobPtr undecided = queue_.first_undecided();
  std::optional<bool> mode;
  {
    const std::lock_guard lock(mutex_);
    mode = composite_;
  }
  if (!mode && undecided) mode = undecided->composite;
  if (!mode || *mode == composite) return;
  throw with_operation(ErrorCode::invalid_argument,
                       *mode ? "earlier saves had several items, this one is not a Composite"
                             : "earlier saves had a single item, this one is a Composite",
                       "", "", "Use one form throughout, or another manager");
}

void CheckpointManager::Impl::report_retention(Step step, const Error& error) {
  const Error told =
      with_operation(error.code(), std::string("no step is deleted by rule: ") + error.what(),
                     "choose the steps to delete", directory);
  log(LogLevel::error, "retention", step, told.what());
  board.advise(std::make_exception_ptr(told));
}

std::vector<Step> CheckpointManager::Impl::choose_losers(const StepRecord& incoming,
                                                         bool supersedes) {
  std::vector<StepRecord> records;
  std::vector<Step> losers;
  const auto known = index.records();
  for (const StepRecord& record : *known) {
    if (record.info.step == incoming.info.step) continue;
    if (supersedes && record.info.step > incoming.info.step) {
      losers.push_back(record.info.step);
    } else {
      records.push_back(record);
    }
  }
  const auto place = std::ranges::upper_bound(
      records, incoming.info.step, {}, [](const StepRecord& record) { return record.info.step; });
  records.insert(place, incoming);
  Retention::Verdict verdict = retention_.judge(records);
  if (verdict.error) report_retention(incoming.info.step, *verdict.error);
  // The latest goes first: a crash in between leaves a run that ends earlier, not one with a gap.
  std::ranges::reverse(losers);
  losers.insert(losers.end(), verdict.losers.begin(), verdict.losers.end());
  return losers;
}

CheckpointManager::Impl::Plan CheckpointManager::Impl::plan_save(SaveJob& job, args::SaveArgs& args,
                                                                 const Call& call,
                                                                 std::optional<bool> reached) {
  const Step step = job.step;
  Plan plan(step);
  if (closed_) throw with_operation(ErrorCode::closed, "the manager is closed", "", "");
  if (options.strict_errors) board.check_failures();
  check_mode(job.composite);
  if (call.instead_of) {
    plan.decision.supersedes = supersedes_above(step);
  } else {
    plan.decision = decide(step, job.options, call.urgency, reached);
  }
  const bool replaces = job.options.overwrite || plan.decision.supersedes;
  const bool there = index.contains(step) && !call.instead_of;
  if (call.urgency == Urgency::last && there && !replaces) {
    plan.decision.outcome = SaveOutcome::skipped_older_step;
  }
  if (plan.decision.refused) {
    throw with_operation(
        ErrorCode::invalid_argument,
        "the step is not above the latest one, " + std::to_string(index.latest().value_or(kNone)) +
            ", and step " + std::to_string(restored_older_) + " was restored",
        "", "", "Set on_older_step: supersede deletes the later steps, skip keeps them instead");
  }
  if (plan.decision.outcome != SaveOutcome::saved) return plan;
  // What another save pushes out is no step any more, but its directory may be there for a while.
  const bool pushed_out = index.is_condemned(step) && options.atomicity == Atomicity::rename;
  plan.overwrite =
      replaces || pushed_out || (call.instead_of && call.instead_of->options.overwrite);
  if (there && !plan.overwrite) {
    throw with_operation(ErrorCode::already_exists, "the step is there already", "", "",
                         "Save with overwrite, delete the step first, or choose another number");
  }
  if (job.items.empty()) {
    check_metrics(step, job.options);
    add_items(job, std::move(args));
  } else {
    for (const auto& [name, handler] : job.handlers) check_binding(name, handler);
  }
  plan.record.info.time_ns = engine->clock().now_ns();
  plan.record.info.steady_ns = steady_ns(*engine);
  if (!job.options.metrics.empty()) plan.record.info.metrics = job.options.metrics;
  plan.losers = choose_losers(plan.record, plan.decision.supersedes);
  return plan;
}

CheckpointManager::Impl::JobPtr CheckpointManager::Impl::begin_save(
    Step step, args::SaveArgs args, SaveOptions save_options, const Call& call,
    const std::shared_ptr<SaveState>& state, const GroupScopePtr& scope) {
  check_usable();
  if (RuleScope::inside(this)) throw rule_error("save step " + std::to_string(step));
  if (step < 0) throw with_operation(ErrorCode::invalid_argument, "steps are not negative", "", "");
  auto job = std::make_shared<SaveJob>(writer_, step, std::move(save_options), state);
  job->composite = std::holds_alternative<args::Composite>(args.value);
  job->require_full_staging = options.require_full_staging;
  job->verify = options.verify_before_delete;
  if (options.post_finalization_callback) {
    job->callback = [this](Step committing) {  // the save's coroutine holds this core
      const RuleScope inside(this);
      options.post_finalization_callback(committing);
    };
  }
  job->scope = scope;
  // Before any lock: other processes may have to agree first, and the strand hears of it.
  std::optional<bool> reached;
  if (preemption_) {
    // A save that is made in any case need not know.
    const bool no_wait = job->options.force && engine::on_any_strand();
    reached = no_wait ? ask_reached(step).value_or(false) : wait_reached(step);
  }
  // A rule that waits for the strand must find it running: so the strand takes no lock under which
  // rules are asked, and what was decided while another call began is decided again.
  std::unique_lock order(order_, std::defer_lock);
  if (!engine::on_any_strand()) order.lock();
  const RuleScope inside(this);
  while (true) {
    const std::uint64_t calls = calls_begun_;
    Plan plan = plan_save(*job, args, call, reached);
    if (plan.decision.outcome != SaveOutcome::saved) {
      skip(*job, plan.decision.outcome);
      return nullptr;
    }
    // Several processes would not pass the same saves: with them each waits for its turn.
    const bool first = !group_ && (call.urgency == Urgency::last || preemption_step_ == step);
    if (enqueue(job, std::move(plan), first, calls)) return job;
  }
}

void CheckpointManager::Impl::skip(const SaveJob& job, SaveOutcome outcome) {
  if (job.scope) tell_skipped(*job.scope, job.step, outcome);
  log(LogLevel::info, "save", job.step, std::string(to_string(outcome)), 0,
      steady_ns(*engine) - job.state->started_ns);
  SaveResult skipped;
  skipped.outcome = outcome;
  skipped.step = job.step;
  job.state->staged_state->set(nullptr, impl::Unit());
  job.state->committed_state->set(nullptr, skipped);
}

SaveFuture CheckpointManager::Impl::save(Step step, args::SaveArgs args, SaveOptions save_options) {
  return save(step, std::move(args), std::move(save_options), Call());
}

SaveFuture CheckpointManager::Impl::save(Step step, args::SaveArgs args, SaveOptions save_options,
                                         const Call& call) {
  auto state = std::make_shared<SaveState>(engine, writer_->heart);
  const GroupScopePtr scope = next_scope("save." + std::to_string(step), saves_);
  try {
    const JobPtr job =
        begin_save(step, std::move(args), std::move(save_options), call, state, scope);
    if (job) wait_as_asked(job);
  } catch (...) {
    refuse(*state, step, std::current_exception(), scope);
  }
  return SaveFuture(state, state->staged_state, state->committed_state);
}

void CheckpointManager::Impl::refuse(SaveState& state, Step step, std::exception_ptr reason,
                                     const GroupScopePtr& scope) {
  const std::exception_ptr error =
      as_error(std::move(reason), "save step " + std::to_string(step), directory);
  if (scope) {
    scope->fail(error);
    tell_stopped(*scope, *engine);
  }
  if (!engine->forked()) {
    // Dropped futures must not hide it.
    board.begin();
    report_failure(state, step, error);
    board.end();
  } else {
    state.staged_state->set(impl::own_copy(error), impl::Unit());
    state.committed_state->set(impl::own_copy(error), SaveResult());
  }
}

void CheckpointManager::Impl::wait_as_asked(const JobPtr& job) const {
  // There a wait would never end, and save() does not throw.
  if (engine::on_any_strand()) return;
  if (!options.enable_async_checkpointing) {
    job->done->wait();
  } else if (!options.create_directories_asynchronously) {
    job->opened->wait();
  }
}

bool CheckpointManager::Impl::enqueue(const JobPtr& job, Plan plan, bool first,
                                      std::uint64_t calls) {
  const std::lock_guard lock(calls_);
  if (calls_begun_ != calls) return false;
  ++calls_begun_;
  // The coroutine that calls it holds this core.
  job->before_capture = [this, raw = job.get()] { return queue_.begin_capture(*raw); };
  job->options.overwrite = plan.overwrite;
  job->roll_back = roll_backs_;
  StepIndex::BegunSave begun = index.begin_save(plan.record, plan.losers, plan.decision.supersedes);
  job->listed = begun.id;
  job->losers = std::move(begun.losers);
  job->record = std::move(plan.record);
  job->supersedes = plan.decision.supersedes;
  ++saving_;
  board.begin();
  // Last: whoever finds it in the queue may give it up.
  const std::vector<JobPtr> hurried = queue_.push(job, first);
  asio::post(engine->executor(), [self = shared_from_this(), job, hurried] {
    ++self->writers_;
    for (const JobPtr& one : hurried) self->begin_hurry(one);
    auto guarded = asio::bind_cancellation_slot(job->state->signal.slot(), asio::detached);
    asio::co_spawn(self->engine->executor(), self->run_save(job), std::move(guarded));
  });
  return true;
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
    job->state->doomed = true;
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::exception_ptr trouble;
  if (failure) {
    failure = as_error(failure, "save step " + std::to_string(job->step), directory);
    job->failure = failure;
    try {
      // Only the process that has issued the rename may leave something that counts.
      const bool may_be_there =
          code_of(failure) == ErrorCode::commit_unknown && job->state->past_recall;
      if (!may_be_there) co_await job->clean_up();
    } catch (...) {
      trouble = std::current_exception();
    }
  }
  // A save that missed its deadline has returned its losers: they stay.
  const bool deletes = !failure && !job->settled;
  settle(job, failure);
  watchdog = watch(job, &Impl::expire_clean_up);
  if (deletes) trouble = co_await follow_commit(job, replaced);
  if (trouble) log(LogLevel::warning, "cleanup", job->step, message_of(trouble));
  job->items.clear();
  job->end_turn();
  co_await end_writing();
  watchdog.reset();
  release(job);
  job->quarantine.release();
}

void CheckpointManager::Impl::release(const JobPtr& job) {
  if (std::exchange(job->released, true)) return;
  queue_.remove(*job);
  if (!job->opened->ready()) job->opened->set(nullptr, impl::Unit());
  if (!job->staged->ready()) job->staged->set(nullptr, impl::Unit());
  job->done->set(nullptr, impl::Unit());
  board.end();
}

void CheckpointManager::Impl::report_failure(SaveState& state, Step step,
                                             const std::exception_ptr& failure) {
  log(LogLevel::error, "save", step, message_of(failure), state.total,
      steady_ns(*engine) - state.started_ns);
  auto entry = std::make_shared<ErrorBoard::Entry>(impl::own_copy(failure));
  board.fail(entry);
  auto seen = [entry] { entry->seen = true; };
  if (!state.staged_state->ready()) {
    state.staged_state->on_delivered = seen;
    // After a missed deadline workers, sources and the kernel may still be reading what the caller
    // may overwrite once this is set.
    state.memory.let_go([staged = state.staged_state, error = impl::own_copy(failure)] {
      if (!staged->ready()) staged->set(error, impl::Unit());
    });
  }
  state.committed_state->on_delivered = seen;
  state.committed_state->set(impl::own_copy(failure), SaveResult());
}

void CheckpointManager::Impl::settle_failed(const JobPtr& job, const std::exception_ptr& failure) {
  if (job->scope) job->scope->fail(failure);
  index.abort(job->listed, code_of(failure) == ErrorCode::commit_unknown);
  job->settled = true;
  end_lone_roll_back();
  if (code_of(failure) == ErrorCode::commit_unknown) commit_unknown_ = true;
  report_failure(*job->state, job->step, failure);
}

void CheckpointManager::Impl::settle(const JobPtr& job, std::exception_ptr failure) {
  const bool late = job->settled;
  if (!late) --saving_;
  end_hurry(job);
  if (failure) {
    if (!late) settle_failed(job, failure);
    return;
  }
  job->record.info.time_ns = job->commit_time_ns();
  job->record.info.steady_ns = steady_ns(*engine);
  index.commit(job->listed, job->record);
  const bool since = job->roll_back == roll_backs_;
  job->rolled_back_to = restored_older_;
  if (job->step > rolled_back_from_ || (since && job->supersedes && !late)) restored_older_ = kNone;
  // What was to be deleted has been replaced.
  std::erase_if(deferred_, [&](const Deferred& deletion) {
    return deletion.step == job->step && !is_due(deletion);
  });
  {
    const std::lock_guard lock(mutex_);
    if (!composite_) composite_ = job->composite;
    bound_.insert(job->handlers.begin(), job->handlers.end());
  }
  job->settled = true;
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
