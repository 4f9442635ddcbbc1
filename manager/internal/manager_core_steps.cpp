// Deleting, restoring and waiting: what the manager's core does besides saving.

#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_reader.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cassert>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

namespace {

/// Bytes of the arrays that were read.
std::uint64_t element_bytes(const Restored& restored) {
  std::uint64_t bytes = 0;
  for (const auto& [name, item] : restored.items()) {
    const auto* tree = std::get_if<Tree>(&item);
    if (tree == nullptr) continue;
    for (const FlatEntry& entry : flatten(*tree)) {
      if (entry.node->is<Array>()) bytes += entry.node->as<Array>().bytes().size();
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

Task<void> CheckpointManager::Impl::delete_losers(JobPtr job, std::optional<std::string> replaced) {
  std::vector<Step> losers = std::exchange(deferred_, {});
  losers.insert(losers.end(), job->losers.begin(), job->losers.end());
  for (const Step step : losers) {
    // A later save of the same number has taken it back.
    if (!index.is_condemned(step)) continue;
    std::exception_ptr trouble;
    try {
      co_await remove_step(job->root(), step);
      index.finish_delete(step);
    } catch (...) {
      trouble = std::current_exception();
    }
    if (!trouble) continue;
    deferred_.push_back(step);
    if (code_of(trouble) != ErrorCode::busy)
      log(LogLevel::warning, "delete", step, message_of(trouble));
  }
  if (replaced) co_await remove_tree(job->root(), *replaced);
}

Task<void> CheckpointManager::Impl::remove_step(FolderPtr root, Step step) {
  const std::optional<engine::FileStatus> there = co_await find_status(root, step_name(step));
  if (!there) co_return;  // its save failed, or somebody else removed it
  const std::string trash = co_await move_step_to_trash(root, step);
  co_await remove_tree(root, trash);
  log(LogLevel::info, "delete", step, "deleted");
}

void CheckpointManager::Impl::end_writing() {
  assert(writers_ > 0);
  if (--writers_ == 0) writer_->lock.release();
}

Future<void> CheckpointManager::Impl::delete_step(Step step) {
  const std::string operation = "delete step " + std::to_string(step);
  if (engine->forked()) return failed<void>(forked_error(operation));
  {
    const std::lock_guard lock(mutex_);
    if (closed_)
      return failed<void>(
          with_operation(ErrorCode::closed, "the manager is closed", operation, directory));
    if (index.is_saving(step)) {
      return failed<void>(with_operation(ErrorCode::busy, "the step is being saved", operation,
                                         directory, "Wait for its save, or cancel it"));
    }
    if (!index.begin_delete(step)) {
      std::string have;
      for (const Step known : index.all())
        have += (have.empty() ? "" : ", ") + std::to_string(known);
      return failed<void>(with_operation(
          ErrorCode::not_found, "no such step; there are: " + (have.empty() ? "none" : have),
          operation, directory));
    }
    board.begin();
  }
  auto job = std::make_shared<DeleteJob>(step);
  asio::post(engine->executor(), [self = shared_from_this(), job] {
    ++self->writers_;
    auto guarded = asio::bind_cancellation_slot(job->signal.slot(), asio::detached);
    asio::co_spawn(self->engine->executor(), self->run_delete(job), std::move(guarded));
  });
  return Future<void>(job->done);
}

Task<void> CheckpointManager::Impl::run_delete(DeletePtr job) {
  const auto self = shared_from_this();
  const Step step = job->step;
  const auto watchdog = watch(job, &Impl::expire_delete);
  // A missed deadline ends waits; whether to go on is decided here.
  co_await asio::this_coro::throw_if_cancelled(false);
  std::exception_ptr failure;
  engine::Permit permit;
  FolderPtr root;
  try {
    auto [error, turn] = co_await writer_->turn.async_acquire(1, kAsTuple);
    if (error) raise_failure(error, "wait for the turn", directory);
    permit = std::move(turn);
    root = co_await begin_writing(writer_);
    // Its caller has been told that it failed.
    if (job->settled) throw with_operation(ErrorCode::timed_out, "given up", "", directory);
    job->past_recall = true;
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await remove_step(root, step);
    index.finish_delete(step);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  bool gone = false;
  if (failure && root) {
    // Renamed away and then failed: it is no step any more, whatever is left of it.
    try {
      const std::optional<engine::FileStatus> there = co_await find_status(root, step_name(step));
      gone = !there;
    } catch (...) {
      gone = false;
    }
  }
  permit.reset();
  end_writing();
  if (failure) {
    failure = as_error(failure, "delete step " + std::to_string(step), directory);
    if (!job->settled) log(LogLevel::error, "delete", step, message_of(failure));
    gone ? index.finish_delete(step) : index.abort_delete(step);
  }
  settle_delete(job, failure);
  job->quarantine.release();
}

void CheckpointManager::Impl::settle_delete(const DeletePtr& job,
                                            const std::exception_ptr& failure) {
  if (std::exchange(job->settled, true)) return;
  job->done->set(impl::own_copy(failure), impl::Unit());
  board.end();
}

Future<Restored> CheckpointManager::Impl::restore(std::optional<Step> step, args::RestoreArgs args,
                                                  RestoreOptions restore_options) {
  const std::string root = restore_options.directory.value_or(directory);
  const std::string operation = step ? "restore step " + std::to_string(*step) : "restore";
  if (engine->forked()) return failed<Restored>(forked_error(operation));
  if (!step && !restore_options.directory) {
    step = index.latest_committed();
    if (!step)
      return failed<Restored>(
          with_operation(ErrorCode::not_found, "there is no step to restore", operation, root));
  }
  return start(engine, restore_from(root, step, std::move(args)), operation, root);
}

Task<Restored> CheckpointManager::Impl::restore_from(std::string root_path,
                                                     std::optional<Step> step,
                                                     args::RestoreArgs args) {
  const auto self = shared_from_this();
  const std::int64_t begin = steady_ns(*engine);
  if (!step) {
    FolderPtr root = co_await open_folder(engine, root_path);
    std::vector<Step> steps = co_await list_committed_steps(root);
    if (steps.empty())
      throw with_operation(ErrorCode::not_found, "there is no step to restore", "", root_path);
    step = steps.back();
  }
  Restored restored = co_await restore_step(engine, join_path(root_path, step_name(*step)), *step,
                                            std::move(args), options.item_name);
  log(LogLevel::info, "restore", *step, "restored", element_bytes(restored),
      steady_ns(*engine) - begin);
  co_return restored;
}

Future<boost::json::object> CheckpointManager::Impl::metrics(Step step) {
  return start(engine, read_metrics(engine, join_path(directory, step_name(step))),
               "read metrics of step " + std::to_string(step), directory);
}

Future<void> CheckpointManager::Impl::wait_until_finished() {
  if (engine->forked()) return failed<void>(forked_error("wait"));
  return Future<void>(board.wait());
}

Future<void> CheckpointManager::Impl::close() {
  if (engine->forked()) return failed<void>(forked_error("close"));
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  return Future<void>(board.wait());
}

}  // namespace cairn
