// Waiting for steps that other processes save in the manager's root.

#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_watch.h>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

Future<HeldStep> CheckpointManager::Impl::wait_for_new_step(
    std::optional<std::chrono::milliseconds> timeout, std::optional<Step> after) {
  const std::string operation = "wait for a new step";
  if (engine->forked()) return failed<HeldStep>(forked_error(operation));
  if (timeout && timeout->count() < 0) {
    return failed<HeldStep>(with_operation(ErrorCode::invalid_argument, "the timeout is negative",
                                           operation, directory));
  }
  if (!after) after = index.latest_committed();
  const auto cancel = std::make_shared<CancelSwitch>();
  return start(engine, find_new_step(timeout, after, cancel), operation, directory, cancel);
}

Task<HeldStep> CheckpointManager::Impl::find_new_step(
    std::optional<std::chrono::milliseconds> timeout, std::optional<Step> above,
    std::shared_ptr<CancelSwitch> cancel) {
  const auto self = shared_from_this();
  if (closed_) throw with_operation(ErrorCode::closed, "the manager is closed", "", directory);
  waits_.insert(cancel);
  HeldStep found;
  std::exception_ptr failure;
  try {
    found = co_await watch_for_step(timeout, above);
  } catch (...) {
    failure = std::current_exception();
  }
  waits_.erase(cancel);
  if (failure) std::rethrow_exception(failure);
  co_return found;
}

Task<HeldStep> CheckpointManager::Impl::watch_for_step(
    std::optional<std::chrono::milliseconds> timeout, std::optional<Step> above) {
  WatchSettings settings;
  settings.directory = directory;
  settings.rules = rules;
  settings.latest_only = true;
  settings.warn = [writer = writer_](std::string message) {
    writer->log(LogLevel::warning, "watch", std::nullopt, std::move(message));
  };
  StepWatch watch(engine, std::move(settings));
  StepWatch::Deadline deadline;
  if (timeout) deadline = later(engine->clock(), *timeout);
  StepHoldPtr hold = co_await watch.wait(above, deadline);
  if (!hold) co_return HeldStep();
  const StepIndex::Listing begun = index.begin_listing();
  std::exception_ptr failure;
  try {
    const std::vector<StepRecord> listed = co_await list_root(false, needs_records_);
    index.end_listing(begun, listed);
    end_lone_roll_back();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    index.abort_listing();
    std::rethrow_exception(failure);
  }
  co_return HeldStep(std::move(hold));
}

void CheckpointManager::Impl::end_waits() {
  const auto waits = waits_;  // each takes itself out
  for (const auto& wait : waits) {
    if (!wait->over) wait->signal.emit(asio::cancellation_type::terminal);
  }
}

}  // namespace cairn
