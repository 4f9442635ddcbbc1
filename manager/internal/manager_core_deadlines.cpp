// What the manager does when a deadline passes: the caller gets an answer, the coroutine stays in
// the engine's quarantine until the kernel answers.

#include <cairn/engine/deadline.h>
#include <cairn/manager/internal/manager_core.h>

#include <algorithm>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

template <class Job>
std::unique_ptr<engine::Watchdog> CheckpointManager::Impl::watch(
    const std::shared_ptr<Job>& job, void (Impl::*missed)(const std::shared_ptr<Job>&, Reason)) {
  engine::Watchdog::Limits limits;
  limits.total = options.async_timeout;
  // Who waits for another process moves nothing.
  if (!job->scope) limits.no_progress = options.no_progress_timeout;
  auto expired = [weak = weak_from_this(), weak_job = std::weak_ptr<Job>(job),
                  missed](Reason reason) {
    const auto alive = weak.lock();
    const auto late = weak_job.lock();
    if (alive && late) ((*alive).*missed)(late, reason);
  };
  return std::make_unique<engine::Watchdog>(engine->shared_clock(), engine->executor(), limits,
                                            std::move(expired), writer_->heart);
}

template std::unique_ptr<engine::Watchdog> CheckpointManager::Impl::watch(
    const std::shared_ptr<SaveJob>&, void (Impl::*)(const std::shared_ptr<SaveJob>&, Reason));
template std::unique_ptr<engine::Watchdog> CheckpointManager::Impl::watch(
    const std::shared_ptr<DeleteJob>&, void (Impl::*)(const std::shared_ptr<DeleteJob>&, Reason));

Error CheckpointManager::Impl::deadline_error(Reason reason, ErrorCode code,
                                              std::string operation) const {
  const bool total = reason == Reason::total;
  const auto limit = total ? options.async_timeout : options.no_progress_timeout;
  ErrorContext context;
  context.operation = std::move(operation);
  context.path = directory;
  if (code == ErrorCode::commit_unknown) {
    context.remedy = "reload() tells whether the step is there";
  } else {
    context.remedy = std::string("Look at the file system, or raise ") +
                     (total ? "async_timeout" : "no_progress_timeout");
  }
  return Error(code,
               (total ? "not finished after " : "nothing moved for ") +
                   std::to_string(limit.count()) + " ms",
               context);
}

void CheckpointManager::Impl::expire(const JobPtr& job, Reason reason) {
  if (job->settled) return;
  const bool renamed = job->state->past_recall;
  give_up(job, deadline_error(reason, renamed ? ErrorCode::commit_unknown : ErrorCode::timed_out,
                              "save step " + std::to_string(job->step)));
}

void CheckpointManager::Impl::give_up(const JobPtr& job, const Error& error) {
  SaveState& state = *job->state;
  // Operations and bytes that the kernel may still hold: what is captured and not yet written.
  job->quarantine = engine->quarantine(
      job, 1, state.staged.load() - std::min(state.staged.load(), state.written.load()));
  state.cancel_requested = true;
  // committed() fails now, staged() when nothing reads the caller's memory any more.
  // A save that has failed and hangs while it cleans up failed for what it failed for.
  settle(job, job->failure ? job->failure : std::make_exception_ptr(error));
  release(job);
  if (!state.past_recall) state.signal.emit(asio::cancellation_type::terminal);
}

void CheckpointManager::Impl::expire_clean_up(const JobPtr& job, Reason reason) {
  if (job->released) return;
  give_up_clean_up(job, deadline_error(reason, ErrorCode::timed_out,
                                       "clean up after step " + std::to_string(job->step)));
}

void CheckpointManager::Impl::give_up_clean_up(const JobPtr& job, const Error& error) {
  log(LogLevel::warning, "cleanup", job->step, error.what());
  job->quarantine = engine->quarantine(job, 1, 0);
  release(job);
}

void CheckpointManager::Impl::expire_delete(const DeletePtr& job, Reason reason) {
  if (job->settled) return;
  give_up_delete(job, deadline_error(reason, ErrorCode::timed_out,
                                     "delete step " + std::to_string(job->step)));
}

void CheckpointManager::Impl::give_up_delete(const DeletePtr& job, const Error& error) {
  log(LogLevel::error, "delete", job->step, error.what());
  job->quarantine = engine->quarantine(job, 1, 0);
  settle_delete(job, std::make_exception_ptr(error));
  // What has begun to be deleted is deleted to the end, once the kernel answers, and how it ended
  // is told then.
  if (job->past_recall) return;
  if (job->scope) job->scope->fail(std::make_exception_ptr(error));
  job->signal.emit(asio::cancellation_type::terminal);
}

}  // namespace cairn
