// What is in a hurry because the process is about to end.

#include <cairn/engine/deadline.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/rule_scope.h>
#include <cairn/manager/internal/start.h>

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

void CheckpointManager::Impl::begin_hurry(const JobPtr& job) {
  if (job->preferred() || job->settled) return;
  job->prefer();
  writer_->removals->pause();
  writer_->begin_hurry();
}

void CheckpointManager::Impl::end_hurry(const JobPtr& job) {
  if (!job->preferred()) return;
  job->end_preference();
  writer_->removals->resume();
}

SaveFuture CheckpointManager::Impl::save_before_exit(Step step, args::SaveArgs args,
                                                     ExitSaveOptions exit_options) {
  SaveOptions save_options = std::move(exit_options.save);
  save_options.force = true;
  if (exit_options.deadline.count() <= 0) {
    const auto state = std::make_shared<SaveState>(engine, writer_->heart);
    refuse(*state, step,
           std::make_exception_ptr(with_operation(ErrorCode::invalid_argument,
                                                  "ExitSaveOptions::deadline is not positive", "",
                                                  "", "Give the time that is left")),
           next_scope("save." + std::to_string(step), saves_));
    return SaveFuture(state, state->staged_state, state->committed_state);
  }
  if (engine->forked() || options.read_only || RuleScope::inside(this)) {
    return save(step, std::move(args), std::move(save_options), Urgency::last);
  }
  asio::post(engine->executor(), [self = shared_from_this(), deadline = exit_options.deadline] {
    self->begin_leaving(deadline);
  });
  if (const JobPtr under_way = queue_.newest_of(step)) {
    if (group_) {
      // Where it has committed already, this counts as a call of save().
      static_cast<void>(next_scope("save." + std::to_string(step), saves_));
    } else {
      asio::post(engine->executor(),
                 [self = shared_from_this(), hurried = queue_.promote(*under_way)] {
                   for (const JobPtr& job : hurried) self->begin_hurry(job);
                 });
    }
    const auto& state = under_way->state;
    return SaveFuture(state, state->staged_state, state->committed_state);
  }
  return save(step, std::move(args), std::move(save_options), Urgency::last);
}

void CheckpointManager::Impl::begin_leaving(std::chrono::milliseconds deadline) {
  writer_->removals->close();
  writer_->begin_hurry();
  engine::Watchdog::Limits limits;
  limits.total = deadline;
  auto expired = [weak = weak_from_this(), deadline](Reason) {
    if (const auto alive = weak.lock()) alive->give_up_all(deadline);
  };
  exit_watchdog_ = std::make_unique<engine::Watchdog>(engine->shared_clock(), engine->executor(),
                                                      limits, std::move(expired));
}

Task<void> CheckpointManager::Impl::retire_superseded(JobPtr job) {
  if (!writer_->removals->closed() || !is_primary()) co_return;
  std::vector<Deferred> later = deferred_;
  if (job->supersedes) {
    for (const Step step : job->losers) later.push_back({step, job->listed});
  }
  std::erase_if(later, [&](const Deferred& deletion) {
    return deletion.step <= job->step || !is_due(deletion);
  });
  if (later.empty()) co_return;
  // From the highest down: should the process die, what is left ends where the run began.
  std::ranges::sort(later, std::greater(), &Deferred::step);
  std::exception_ptr unverified;
  try {
    co_await verify_step(job, "later steps are kept");
  } catch (...) {
    unverified = std::current_exception();
  }
  if (unverified) {
    unverified = as_error(unverified, "verify step " + std::to_string(job->step), directory);
    log(LogLevel::error, "verify", job->step, message_of(unverified));
    board.fail(std::make_shared<ErrorBoard::Entry>(impl::own_copy(unverified)));
    co_return;
  }
  // They stay what they were: steps that are not listed, and to be deleted.
  for (const Deferred& deletion : later) {
    std::exception_ptr trouble;
    std::vector<std::string> left;  // the next writer removes it
    try {
      co_await retire(job->root(), deletion.step, &left);
    } catch (...) {
      trouble = std::current_exception();
    }
    if (trouble) log(LogLevel::warning, "delete", deletion.step, message_of(trouble));
  }
}

void CheckpointManager::Impl::give_up_all(std::chrono::milliseconds deadline) {
  const auto error = [&](ErrorCode code, std::string operation) {
    const bool unknown = code == ErrorCode::commit_unknown;
    return with_operation(
        code, fmt::format("not finished {} ms after save_before_exit()", deadline.count()),
        std::move(operation), directory,
        unknown ? "The next manager of the root tells whether the step is there"
                : "Save earlier before the end, or raise ExitSaveOptions::deadline");
  };
  for (const JobPtr& job : queue_.jobs()) {
    const std::string step = std::to_string(job->step);
    if (job->settled) {
      if (!job->released) {
        give_up_clean_up(job, error(ErrorCode::timed_out, "clean up after step " + step));
      }
      continue;
    }
    const bool renamed = job->state->past_recall;
    give_up(job,
            error(renamed ? ErrorCode::commit_unknown : ErrorCode::timed_out, "save step " + step));
  }
  for (const DeletePtr& job : std::set<DeletePtr>(deletes_)) {
    give_up_delete(job, error(ErrorCode::timed_out, "delete step " + std::to_string(job->step)));
  }
  if (const Event drained = std::exchange(drained_, nullptr)) drained->set(nullptr, impl::Unit());
}

}  // namespace cairn
