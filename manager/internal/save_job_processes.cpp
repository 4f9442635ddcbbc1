// What a save that several processes do together adds: where they wait for each other.
//
//   plan      what the trees are, and who writes what         (tree_saver_shares.cpp)
//   open      the primary has made the directory
//   captured  all have captured, and hold all the memory that they will ask for: the next save may
//             capture anywhere
//   data      each has made its data durable; the primary gets the places of the chunks
//   ready     nobody fails any more but the primary
//   commit    the primary has committed
//
// No wait for memory depends on another process: what is captured can be written once the directory
// is there, the primary makes it once its turn has come, and the saves that have the turn before
// are captured everywhere. So two managers that share memory, and get it in another order in each
// process, do not wait for each other.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/save_job.h>
#include <cairn/manager/internal/wire.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <chrono>

namespace cairn::internal {
namespace {

/// How long a process that has failed is waited for before the directory is removed.
constexpr std::chrono::seconds kStopTime{5};

/// Not below the save's names, which have failed.
std::string stop_name(const GroupScope& scope) {
  return "stop-" + scope.name("over");
}

engine::Clock::Duration stop_limit(const GroupScope& scope) {
  return std::min<engine::Clock::Duration>(kStopTime, scope.group().timeout());
}

}  // namespace

void tell_stopped(const GroupScope& scope, engine::Engine& engine) {
  ProcessGroup& group = scope.group();
  if (!group.shares_root()) return;
  const auto ignore = [](const std::exception_ptr&) {};
  group.coordinator()->barrier(group.full_name(stop_name(scope)), group.within(stop_limit(scope)),
                               asio::bind_executor(engine.executor(), ignore));
}

void tell_skipped(const GroupScope& scope, Step step, SaveOutcome outcome) {
  ErrorContext context;
  context.remedy =
      "Let should_save() and what is restored be the same in every process, or save with force";
  const std::exception_ptr reason = std::make_exception_ptr(Error(
      ErrorCode::invalid_argument,
      fmt::format("it skipped step {} ({}), others save it", step, to_string(outcome)), context));
  scope.fail(reason);
  // Nor is it waited for then. Nobody else has begun to write: first all plan together.
  ProcessGroup& group = scope.group();
  if (group.shares_root()) group.fail(stop_name(scope), reason);
}

Task<void> SaveJob::show_step() {
  if (!scope->group().shares_root()) co_return;
  std::string name = directory_->name();
  const std::string shown = co_await scope->group().broadcast(scope->name("open"), std::move(name));
  static_cast<void>(shown);
}

Task<void> SaveJob::join_step() {
  const std::string name = co_await scope->group().broadcast(scope->name("open"), std::string());
  root_ = co_await open_folder(context_->engine, context_->root_path, context_->heart);
  const FolderPtr folder = co_await open_subfolder(root_, name);
  opened->set(nullptr, impl::Unit());
  for (auto& [item_name, item] : items) {
    if (item->is_shared()) co_await item->open(root_, folder);
  }
}

Task<void> SaveJob::captured_everywhere() {
  co_await scope->group().barrier(scope->name("captured"));
}

Task<void> SaveJob::ready_everywhere() {
  co_await scope->group().barrier(scope->name("ready"));
}

Task<void> SaveJob::tell_outcome(std::exception_ptr failed) {
  WireWriter text;
  text.number(failed ? 1 : 0);
  if (failed) {
    ProcessGroup::put_failure(text, failed);
  } else {
    text.number(static_cast<std::uint64_t>(commit_timestamp_ns_));
  }
  std::string bytes = text.take();
  std::exception_ptr untold;
  try {
    const std::string told =
        co_await scope->group().broadcast(scope->name("commit"), std::move(bytes));
    static_cast<void>(told);
  } catch (...) {
    untold = std::current_exception();
  }
  if (!untold || failed) co_return;
  if (!scope->group().shares_root()) {
    // Another may not have it in its own directory: the steps before it are what all have.
    ErrorContext context;
    context.path = context_->root_path;
    context.remedy = "Nothing was deleted; restore() takes the newest step that every process has";
    throw Error(ErrorCode::commit_unknown,
                "committed here, and not every process says so: " + message_of(untold), context);
  }
  // The step is there, whoever has died since.
  context_->log(LogLevel::warning, "save", step,
                "committed, but not every process knows: " + message_of(untold));
}

void SaveJob::read_outcome(std::string_view told) {
  WireReader from(told);
  const bool failed = from.at_most(1) == 1;
  if (!failed) {
    commit_timestamp_ns_ = static_cast<std::int64_t>(from.number());
    committed_ns_ = steady_ns(*context_->engine);
    return;
  }
  throw scope->group().get_failure(from, context_->root_path);
}

Task<void> SaveJob::hear_commit() {
  // Whatever happens from here on, this process cannot tell that the save has failed.
  state->past_recall = true;
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::exception_ptr unheard;
  std::string bytes;
  bool all_ready = false;
  try {
    co_await ready_everywhere();
    all_ready = true;
    bytes = co_await scope->group().broadcast(scope->name("commit"), std::string());
  } catch (...) {
    unheard = std::current_exception();
  }
  if (!unheard) {
    read_outcome(bytes);
    co_return;
  }
  const bool unknown = co_await may_have_committed(code_of(unheard), all_ready);
  if (!unknown) std::rethrow_exception(unheard);
  ErrorContext context;
  context.path = context_->root_path;
  context.remedy = "Nothing was deleted; reload() tells whether the step is there";
  throw Error(ErrorCode::commit_unknown,
              "the primary has not said whether it has committed: " + message_of(unheard), context);
}

Task<bool> SaveJob::may_have_committed(ErrorCode unheard, bool all_ready) {
  switch (unheard) {
    case ErrorCode::commit_unknown:
      co_return true;
    case ErrorCode::io_error:  // somebody has died, or nothing is heard any more,
    case ErrorCode::closed:    // perhaps after the commit
    case ErrorCode::timed_out:
      break;
    default:
      co_return false;
  }
  // The primary may be at it just now; and one that is replaced tells nothing.
  if (all_ready || options.overwrite) co_return true;
  try {
    const std::optional<std::string> there = co_await find_step(root_, context_->rules, step);
    co_return there.has_value();
  } catch (...) {  // NOLINT(bugprone-empty-catch): then nobody knows
  }
  co_return true;
}

Task<void> SaveJob::stopped_everywhere() {
  scope->fail(failure);
  if (!scope->group().shares_root()) co_return;
  if (joins()) {
    tell_stopped(*scope, *context_->engine);
    co_return;
  }
  try {
    co_await scope->group().barrier_within(stop_name(*scope), stop_limit(*scope));
  } catch (...) {  // NOLINT(bugprone-empty-catch): who has died does not write either
  }
}

}  // namespace cairn::internal
