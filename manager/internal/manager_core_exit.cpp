// What is in a hurry because the process is about to end.

#include <cairn/engine/deadline.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/rule_scope.h>
#include <cairn/manager/internal/start.h>

#include <fmt/format.h>

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
    Call call;
    call.urgency = Urgency::last;
    return save(step, std::move(args), std::move(save_options), call);
  }
  asio::post(engine->executor(), [self = shared_from_this(), deadline = exit_options.deadline] {
    self->begin_leaving(deadline);
  });
  Call call;
  call.urgency = Urgency::last;
  const JobPtr under_way = queue_.newest_of(step);
  const bool stands_for_it = under_way && !is_given_up(*under_way) && !is_doomed(*under_way) &&
                             (under_way->supersedes || !supersedes_above(step));
  if (under_way && is_doomed(*under_way)) call.instead_of = under_way;
  if (stands_for_it) {
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
  return save(step, std::move(args), std::move(save_options), call);
}

bool CheckpointManager::Impl::is_doomed(const SaveJob& job) const {
  // With several processes it is not doomed everywhere yet: its failure is told to all of them.
  return job.state->doomed && !group_;
}

bool CheckpointManager::Impl::is_given_up(const SaveJob& job) const {
  const bool rolled_back = job.roll_back != roll_backs_ && rolled_back_below(job.step);
  return rolled_back || index.is_superseded(job.step, job.listed);
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
