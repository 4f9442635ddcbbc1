// Restoring the newest step that is sound.

#include <cairn/manager/internal/lent_args.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_reader.h>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

namespace {

/// Whether a failure says that the step is at fault, so that an older one may do: not what was
/// asked for, nor this process.
bool blames_step(ErrorCode code) {
  switch (code) {
    case ErrorCode::not_found:
    case ErrorCode::not_supported:
    case ErrorCode::permission_denied:
    case ErrorCode::io_error:
    case ErrorCode::data_loss:
    case ErrorCode::incomplete_checkpoint:
    case ErrorCode::step_deleted:
      return true;
    case ErrorCode::already_exists:
    case ErrorCode::invalid_argument:
    case ErrorCode::no_space:
    case ErrorCode::resource_exhausted:
    case ErrorCode::busy:
    case ErrorCode::commit_unknown:
    case ErrorCode::cancelled:
    case ErrorCode::timed_out:
    case ErrorCode::closed:
    case ErrorCode::internal:
      break;
  }
  return false;
}

/// Reads nothing, so it can vouch for nothing.
void refuse_lazy(const args::RestoreArgs& args) {
  const auto is_lazy = [](const args::ItemRestore& how) {
    return how.get_if<args::LazyRestore>() != nullptr;
  };
  const auto* single = std::get_if<args::ItemRestore>(&args.value);
  bool lazy = single != nullptr && is_lazy(*single);
  if (const auto* composite = std::get_if<args::CompositeRestore>(&args.value)) {
    for (const auto& [name, how] : composite->items) lazy = lazy || is_lazy(how);
  }
  if (!lazy) return;
  throw with_operation(ErrorCode::invalid_argument,
                       "a lazy restore reads nothing, so it cannot tell whether the step is sound",
                       "", "", "Restore the step that a restore that reads finds");
}

[[noreturn]] void refuse_all(const std::vector<SkippedStep>& skipped, const std::string& root) {
  if (skipped.empty())
    throw with_operation(ErrorCode::not_found, "there is no step to restore", "", root);
  const Error& first = skipped.front().error;
  throw Error(first.code(),
              "none of " + std::to_string(skipped.size()) + " steps can be restored; the newest, " +
                  std::to_string(skipped.front().step) + ": " + first.reason(),
              first.context());
}

}  // namespace

Future<LatestValid> CheckpointManager::Impl::restore_latest_valid(args::RestoreArgs args,
                                                                  RestoreOptions restore_options) {
  const std::string root = restore_options.directory.value_or(directory);
  const std::string operation = "restore the latest valid step";
  if (engine->forked()) return failed<LatestValid>(forked_error(operation));
  return start_cancellable(
      engine, find_latest_valid(root, std::move(args), next_scope("restore", restores_)), operation,
      root);
}

Task<LatestValid> CheckpointManager::Impl::try_alone(std::string root_path,
                                                     args::RestoreArgs args) {
  refuse_lazy(args);
  LentArgs lent(std::move(args));
  FolderPtr root = co_await open_folder(engine, root_path);
  const std::vector<ListedStep> steps = co_await list_committed_steps(root, rules);
  LatestValid result;
  for (auto next = steps.rbegin(); next != steps.rend(); ++next) {
    const Step step = next->step;
    const std::int64_t begin = steady_ns(*engine);
    std::exception_ptr failure;
    try {
      result.restored = co_await restore_from(root_path, step, lent.lend());
    } catch (...) {
      failure = std::current_exception();
    }
    if (!failure) {
      lent.give_back(result.restored);
      report_restored(root_path, step, result.restored, begin);
      co_return result;
    }
    const Error error =
        known_error(as_error(failure, "restore step " + std::to_string(step), root_path));
    if (!blames_step(error.code())) throw error;
    log(LogLevel::warning, "restore", step, error.what());
    result.skipped.emplace_back(step, error);
  }
  refuse_all(result.skipped, root_path);
}

Task<LatestValid> CheckpointManager::Impl::try_together(std::string root_path,
                                                        args::RestoreArgs args,
                                                        GroupScopePtr scope) {
  refuse_lazy(args);
  LentArgs lent(std::move(args));
  std::vector<Step> steps = co_await common_steps(root_path, scope);
  LatestValid result;
  for (; !steps.empty(); steps.pop_back()) {
    const Step step = steps.back();
    const std::int64_t begin = steady_ns(*engine);
    std::exception_ptr failure;
    try {
      result.restored = co_await restore_from(root_path, step, lent.lend());
    } catch (...) {
      failure = std::current_exception();
    }
    Error error = with_operation(ErrorCode::data_loss, "another process could not restore it",
                                 "restore step " + std::to_string(step), root_path);
    if (failure) {
      error = known_error(as_error(failure, "restore step " + std::to_string(step), root_path));
      if (!blames_step(error.code())) throw error;
    }
    // What one of them cannot restore is no step for any.
    const std::int64_t all =
        co_await group_->agree_on_least(scope->name("try-" + std::to_string(step)), !failure);
    if (all != 0) {
      lent.give_back(result.restored);
      report_restored(root_path, step, result.restored, begin);
      co_return result;
    }
    log(LogLevel::warning, "restore", step, error.what());
    result.skipped.emplace_back(step, error);
  }
  refuse_all(result.skipped, root_path);
}

Task<LatestValid> CheckpointManager::Impl::find_latest_valid(std::string root_path,
                                                             args::RestoreArgs args,
                                                             GroupScopePtr scope) {
  const auto self = shared_from_this();
  const std::int64_t begin = steady_ns(*engine);
  std::exception_ptr failure;
  LatestValid result;
  try {
    if (scope) {
      result = co_await try_together(root_path, std::move(args), scope);
    } else {
      result = co_await try_alone(root_path, std::move(args));
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return result;
  const std::exception_ptr error = report_unrestored(root_path, std::nullopt, failure, begin);
  if (scope) scope->fail(error);
  std::rethrow_exception(error);
}

}  // namespace cairn
