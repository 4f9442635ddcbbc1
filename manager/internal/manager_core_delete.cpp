// Deleting steps: those that a save pushes out, and those that the user names.

#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/rule_scope.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/verification.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cassert>
#include <functional>
#include <iterator>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

void CheckpointManager::Impl::confirm_losers(SaveJob& job) {
  // They were chosen at the call, when saves under way counted as steps. Of those some have failed:
  // no step may go for one that never came to be.
  // Some may be gone by now, or replaced.
  std::erase_if(job.losers, [&](Step step) { return !index.is_condemned(step, job.listed); });
  const auto superseded = [&job](Step step) { return job.supersedes && step > job.step; };
  StepIndex::Records settled = index.settled();
  // Nor do steps count that are as good as deleted: a reader holds them, or it did not work yet.
  const auto retired = [this](Step step) {
    return std::ranges::any_of(deferred_, [&](const Deferred& deletion) {
      return deletion.step == step && is_due(deletion);
    });
  };
  std::erase_if(settled, [&](const StepRecord& record) {
    return superseded(record.info.step) || retired(record.info.step);
  });
  Retention::Verdict verdict;
  {
    const RuleScope inside(this);
    verdict = retention_.judge(settled);
  }
  if (verdict.error) report_retention(job.step, *verdict.error);
  const auto stays = [&](Step step) {
    const bool there = std::ranges::any_of(
        settled, [step](const StepRecord& record) { return record.info.step == step; });
    return there && std::ranges::find(verdict.losers, step) == verdict.losers.end();
  };
  std::erase_if(job.losers, [&](Step step) {
    if (!stays(step)) return false;
    index.spare(step, job.listed);
    return true;
  });
}

Task<void> CheckpointManager::Impl::spare_damaged(JobPtr job) {
  std::vector<Step> unread = job->losers;
  std::erase_if(unread, [&](Step step) {
    return !index.is_unread(step) || (job->supersedes && step > job->step);
  });
  if (unread.empty()) co_return;
  std::vector<StepRecord> records;
  std::exception_ptr trouble;
  try {
    std::vector<ListedStep> there;
    for (const Step step : unread) {
      const std::optional<std::string> name = co_await find_step(job->root(), rules, step);
      if (name) there.emplace_back(step, *name);
    }
    records = co_await read_step_records(job->root(), std::move(there), warn_step());
  } catch (...) {
    trouble = std::current_exception();
  }
  if (trouble) log(LogLevel::warning, "delete", job->step, message_of(trouble));
  const auto is_sound = [&records](Step step) {
    return std::ranges::any_of(records, [step](const StepRecord& record) {
      return record.info.step == step && !record.info.damaged;
    });
  };
  for (const Step step : unread) {
    if (is_sound(step)) continue;
    index.spare(step, job->listed);
    std::erase(job->losers, step);
  }
}

Task<bool> CheckpointManager::Impl::verify_newest(JobPtr job) {
  // Before an exit the others stay.
  const bool leaves = writer_->removals->closed();
  const bool deletes = std::ranges::any_of(deferred_, [&](const Deferred& deletion) {
    return leaves ? deletion.superseded && !deletion.confirmed : !removals_wait();
  });
  const char* const consequence = leaves ? "later steps are kept" : "older steps are kept";
  if (deletes && !job->verified()) co_await verify_step(job->step, consequence);
  co_return deletes;
}

Task<void> CheckpointManager::Impl::verify_step(Step step, const char* consequence) {
  if (options.verify_before_delete == VerifyBeforeDelete::none) co_return;
  // Also where it is among the losers: what it says of the disk is the same.
  const std::string path = join_path(directory, rules.names->name(step));
  const bool values = options.verify_before_delete == VerifyBeforeDelete::full;
  const VerifyReport report = co_await check_step(engine, path, values);
  refuse_damaged(report, step, consequence);
}

void CheckpointManager::Impl::spare_unconfirmed(const SaveJob& job) {
  std::erase_if(deferred_, [&](const Deferred& deletion) {
    const bool stays = !deletion.superseded || !deletion.confirmed;
    if (stays) index.spare(deletion.step, deletion.by);
    return stays;
  });
  // The run that was given up is there again: what the next save is to make of it is asked again.
  Step none = kNone;
  const bool again = job.supersedes && job.roll_back == roll_backs_;
  if (again) restored_older_.compare_exchange_strong(none, job.rolled_back_to);
}

void CheckpointManager::Impl::report_unverified(SaveJob& job, const std::exception_ptr& reason) {
  job.distrusted = true;
  index.distrust(job.step);
  const std::exception_ptr unverified =
      as_error(reason, "verify step " + std::to_string(job.step), directory);
  log(LogLevel::error, "verify", job.step, message_of(unverified));
  board.fail(std::make_shared<ErrorBoard::Entry>(impl::own_copy(unverified)));
}

Task<std::exception_ptr> CheckpointManager::Impl::follow_commit(
    JobPtr job, std::optional<std::string> replaced) {
  if (!is_primary()) {
    co_await hear_losers(job);
    co_return nullptr;
  }
  if (!job->losers.empty()) confirm_losers(*job);
  co_await spare_damaged(job);
  for (const Step step : std::exchange(job->losers, {})) {
    deferred_.push_back(deferral(*job, step));
  }
  std::exception_ptr unverified;
  bool background = false;
  bool confirmed = false;
  try {
    confirmed = co_await verify_newest(job);
  } catch (...) {
    unverified = std::current_exception();
  }
  if (unverified) {
    // They are what there is if the new step is bad; but a run that a sound step has superseded is
    // not.
    spare_unconfirmed(*job);
    report_unverified(*job, unverified);
  }
  std::vector<Deferred> losers = std::exchange(deferred_, {});
  for (Deferred& deletion : losers) deletion.confirmed = deletion.confirmed || confirmed;
  std::exception_ptr trouble;
  try {
    Retired retired = co_await retire_losers(job->root(), std::move(losers));
    if (replaced) replaced_.push_back(*replaced);
    const std::vector<std::string> overwritten = std::exchange(replaced_, {});
    for (const std::string& name : overwritten) {
      bool held = true;
      try {
        held = co_await is_held_by_reader(job->root(), name);
      } catch (const Error& error) {
        log(LogLevel::warning, "delete", job->step, error.what());
      }
      (held ? replaced_ : retired.trash).push_back(name);
    }
    if (shares_root()) co_await tell_losers(job, std::move(retired.steps));
    if (options.enable_background_delete) {
      job->end_turn();
      release(job);
      begin_background();
      background = true;
    }
    job->allow_relief();
    co_await remove_trash(job->root(), std::move(retired.trash));
  } catch (...) {
    trouble = std::current_exception();
  }
  if (background) end_background(trouble);
  co_return trouble;
}

Task<CheckpointManager::Impl::Retired> CheckpointManager::Impl::retire_losers(
    FolderPtr root, std::vector<Deferred> losers) {
  // The superseded ones go first, from the highest down: should the process die, what is left ends
  // where the run began.
  std::ranges::stable_sort(losers, std::greater(), [](const Deferred& deletion) {
    return deletion.superseded ? deletion.step : kNone;
  });
  Retired retired;
  for (const Deferred& deletion : losers) {
    const Step step = deletion.step;
    const bool replaced = is_replaced(deletion);
    // A later save of the same number has replaced it, or it is gone; perhaps since the last one's
    // turn.
    if (!is_due(deletion)) continue;
    // One that is being saved is deleted, or has been replaced, when that save has ended. Where a
    // save is in a hurry, it does the rest once it has committed; before an exit only those lose
    // their names that the next process would go on from.
    const bool leaves = writer_->removals->closed();
    const bool waits = leaves ? !deletion.superseded || !deletion.confirmed : removals_wait();
    if (waits || (index.is_saving(step) && !replaced)) {
      deferred_.push_back(deletion);
      continue;
    }
    std::exception_ptr trouble;
    try {
      co_await retire(root, step, &retired.trash);
      retired.steps.push_back(step);
      index.forget(step);
      // One of the run that was given up may still be saved, before the one that replaces it.
      if (index.is_saving_condemned(step)) deferred_.push_back(deletion);
    } catch (...) {
      trouble = std::current_exception();
    }
    if (!trouble) end_lone_roll_back();
    if (!trouble) continue;
    deferred_.push_back(deletion);
    if (code_of(trouble) == ErrorCode::busy) continue;
    log(LogLevel::warning, "delete", step, message_of(trouble));
    if (!options.enable_background_delete) continue;
    trouble = as_error(trouble, "delete step " + std::to_string(step), directory);
    board.fail(std::make_shared<ErrorBoard::Entry>(trouble));
  }
  co_return retired;
}

Task<void> CheckpointManager::Impl::retire(FolderPtr root, Step step,
                                           std::vector<std::string>* trash) {
  // One that has several names loses all of them, and the one that it is read by last: where
  // another one cannot go, the step must not become what has that.
  std::vector<std::string> names = co_await find_all_of_step(root, rules, step);
  if (names.empty()) co_return;  // its save failed, or somebody else removed it
  for (; !names.empty(); names.pop_back()) {
    if (options.todelete_subdir.empty()) {
      std::string left = co_await move_step_to_trash(root, names.back());
      trash->push_back(std::move(left));
    } else {
      co_await move_step_aside(root, names.back(), options.todelete_subdir);
    }
  }
  log(LogLevel::info, "delete", step, "deleted");
}

Task<void> CheckpointManager::Impl::remove_trash(FolderPtr root, std::vector<std::string> trash) {
  std::exception_ptr stopped;
  try {
    for (const std::string& name : trash) {
      co_await remove_tree(root, name, options.num_deletion_threads, writer_->removals);
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  // What is left of it has lost its name, and the next writer removes it.
  if (stopped && !writer_->removals->closed()) std::rethrow_exception(stopped);
}

Task<void> CheckpointManager::Impl::end_writing() {
  assert(writers_ > 0);
  if (--writers_ == 0) co_await writer_->lock.release();
}

void CheckpointManager::Impl::begin_background() {
  if (background_++ == 0) drained_ = std::make_shared<impl::SharedState<void>>();
}

void CheckpointManager::Impl::end_background(const std::exception_ptr& trouble) {
  if (trouble) {
    board.fail(std::make_shared<ErrorBoard::Entry>(as_error(trouble, "delete steps", directory)));
  }
  if (--background_ > 0) return;
  // Null where nobody waits for it any more.
  if (const Event drained = std::exchange(drained_, nullptr)) drained->set(nullptr, impl::Unit());
}

Future<void> CheckpointManager::Impl::delete_step(Step step) {
  const std::string operation = "delete step " + std::to_string(step);
  const GroupScopePtr scope = next_scope("delete." + std::to_string(step), deletes_begun_);
  if (engine->forked()) return failed<void>(forked_error(operation));
  const auto refuse = [&](ErrorCode code, std::string reason, std::string remedy = "") {
    const Error error =
        with_operation(code, std::move(reason), operation, directory, std::move(remedy));
    if (scope) scope->fail(std::make_exception_ptr(error));
    return failed<void>(error);
  };
  if (RuleScope::inside(this)) {
    const Error error = rule_error(operation);
    return refuse(error.code(), std::string(error.reason()), error.context().remedy);
  }
  if (options.read_only) {
    return refuse(ErrorCode::permission_denied, "the manager is read-only", "Open one that is not");
  }
  std::optional<StepIndex::DeleteId> listed;
  {
    const std::lock_guard lock(calls_);
    if (closed_) return refuse(ErrorCode::closed, "the manager is closed");
    if (index.is_saving(step)) {
      return refuse(ErrorCode::busy, "the step is being saved", "Wait for its save, or cancel it");
    }
    listed = index.begin_delete(step);
    ++calls_begun_;
    if (!listed) {
      std::string have;
      for (const Step known : index.all())
        have += (have.empty() ? "" : ", ") + std::to_string(known);
      return refuse(ErrorCode::not_found,
                    "no such step; there are: " + (have.empty() ? "none" : have));
    }
    board.begin();
  }
  auto job = std::make_shared<DeleteJob>(step, *listed, scope);
  asio::post(engine->executor(), [self = shared_from_this(), job] {
    ++self->writers_;
    self->deletes_.insert(job);
    auto guarded = asio::bind_cancellation_slot(job->signal.slot(), asio::detached);
    asio::co_spawn(self->engine->executor(), self->run_delete(job), std::move(guarded));
  });
  return Future<void>(job->done);
}

Task<void> CheckpointManager::Impl::run_delete(DeletePtr job) {
  const auto self = shared_from_this();
  const auto watchdog = watch(job, &Impl::expire_delete);
  if (!is_primary()) {
    co_await hear_delete(job);
    co_return;
  }
  const Step step = job->step;
  // A missed deadline ends waits; whether to go on is decided here.
  co_await asio::this_coro::throw_if_cancelled(false);
  std::exception_ptr failure;
  job->turn = writer_->turn.line_up();
  try {
    co_await carry_out(job);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (failure && !job->gone && job->root) {
    try {
      const std::optional<std::string> there = co_await find_step(job->root, rules, step);
      job->gone = !there;
    } catch (...) {  // NOLINT(bugprone-empty-catch): then it stays listed
    }
  }
  job->turn.reset();
  co_await end_writing();
  if (failure) failure = as_error(failure, "delete step " + std::to_string(step), directory);
  if (shares_root()) {
    if (failure && !job->past_recall) {
      job->scope->fail(failure);
    } else {
      co_await tell_delete(job, failure);
    }
  }
  if (failure && !job->settled) log(LogLevel::error, "delete", step, message_of(failure));
  end_delete(job);
  settle_delete(job, failure);
  job->quarantine.release();
}

Task<void> CheckpointManager::Impl::carry_out(DeletePtr job) {
  // Where one of them refuses, nothing happens.
  if (shares_root()) co_await group_->barrier(job->scope->name("begin"));
  co_await wait_for_turn(writer_, job->turn.get());
  if (!index.is_due(job->listed)) co_return;
  FolderPtr root = co_await begin_writing(writer_);
  // Its caller has been told that it failed.
  if (job->settled) throw with_operation(ErrorCode::timed_out, "given up", "", directory);
  if (writer_->removals->closed()) {
    throw with_operation(ErrorCode::cancelled, "the process is about to end", "", directory);
  }
  job->past_recall = true;
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  job->root = root;
  std::vector<std::string> trash;
  co_await retire(root, job->step, &trash);
  job->gone = true;
  end_delete(job);
  if (writer_->removals->paused()) job->turn.reset();
  if (job->turn) WriterTurn::allow_relief(*job->turn);
  co_await remove_trash(root, std::move(trash));
}

CheckpointManager::Impl::DeletePtr CheckpointManager::Impl::begin_deferred() {
  // The others go by the rules of whoever saves next; these would be what is gone on from.
  std::erase_if(deferred_, [](const Deferred& deletion) { return !deletion.superseded; });
  if (deferred_.empty() || !is_primary()) return nullptr;
  auto job = std::make_shared<DeleteJob>(deferred_.front().step, StepIndex::DeleteId{}, nullptr);
  ++writers_;
  deletes_.insert(job);
  board.begin();
  auto guarded = asio::bind_cancellation_slot(job->signal.slot(), asio::detached);
  asio::co_spawn(engine->executor(), retire_deferred(job), std::move(guarded));
  return job;
}

Task<void> CheckpointManager::Impl::retire_deferred(DeletePtr job) {
  const auto self = shared_from_this();
  const auto watchdog = watch(job, &Impl::expire_delete);
  // A missed deadline ends waits; whether to go on is decided below.
  co_await asio::this_coro::throw_if_cancelled(false);
  job->turn = writer_->turn.line_up();
  std::exception_ptr trouble;
  try {
    co_await carry_out_deferred(job);
  } catch (...) {
    trouble = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (trouble) log(LogLevel::warning, "delete", job->step, message_of(trouble));
  job->turn.reset();
  co_await end_writing();
  settle_delete(job, nullptr);
  job->quarantine.release();
}

Task<void> CheckpointManager::Impl::carry_out_deferred(DeletePtr job) {
  co_await wait_for_turn(writer_, job->turn.get());
  FolderPtr root = co_await begin_writing(writer_);
  if (job->settled) co_return;
  job->past_recall = true;
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::vector<Deferred> losers = std::exchange(deferred_, {});
  const bool confirmed = std::ranges::all_of(losers, &Deferred::confirmed);
  const std::optional<Step> latest = index.latest_committed();
  if (!confirmed && latest) co_await verify_step(*latest, "later steps are kept");
  for (Deferred& deletion : losers) deletion.confirmed = true;
  Retired retired = co_await retire_losers(root, std::move(losers));
  co_await remove_trash(root, std::move(retired.trash));
}

void CheckpointManager::Impl::end_delete(const DeletePtr& job) {
  job->gone ? index.finish_delete(job->listed) : index.abort_delete(job->listed);
  end_lone_roll_back();
}

void CheckpointManager::Impl::settle_delete(const DeletePtr& job,
                                            const std::exception_ptr& failure) {
  if (std::exchange(job->settled, true)) return;
  deletes_.erase(job);
  job->done->set(impl::own_copy(failure), impl::Unit());
  board.end();
}

}  // namespace cairn
