#include <cairn/codecs/orbax.h>
#include <cairn/manager/error.h>
#include <cairn/manager/internal/manager_options.h>
#include <cairn/manager/internal/step_rules.h>

namespace cairn::internal {
namespace {

[[noreturn]] void refuse(std::string reason, std::string remedy = "") {
  ErrorContext context;
  context.operation = "open manager";
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::invalid_argument, std::move(reason), context);
}

template <class T>
void require_at_least(const char* name, const T& value, std::int64_t least) {
  if (static_cast<std::int64_t>(value) >= least) return;
  refuse(std::string(name) + " is " + std::to_string(value) + ", it must be at least " +
         std::to_string(least));
}

void check_saving(const ManagerOptions& options) {
  require_at_least("save_interval_steps", options.save_interval_steps, 1);
  require_at_least("max_link_age", options.max_link_age, 0);
  if (options.linkable_file_bytes == 0) refuse("linkable_file_bytes is 0, it must be at least 1");
  require_at_least("async_timeout", options.async_timeout.count(), 1);
  require_at_least("no_progress_timeout", options.no_progress_timeout.count(), 0);
  require_at_least("lock_timeout", options.lock_timeout.count(), 0);
  if (options.on_older_step == OlderStep::supersede &&
      options.atomicity == Atomicity::commit_file) {
    refuse(
        "on_older_step is supersede and atomicity is commit_file, with which no step can be "
        "replaced",
        "Set on_older_step to error or skip and delete the later steps before saving again, or use "
        "Atomicity::rename");
  }
  const bool replaced = options.should_save_fn || !options.save_on_steps.empty() ||
                        options.save_interval_steps != ManagerOptions().save_interval_steps;
  if (options.save_decision_policy && replaced) {
    refuse(
        "save_decision_policy decides alone, and save_interval_steps, save_on_steps or "
        "should_save_fn is set too",
        "Put them into the policy: save_policy::AnyOf");
  }
}

void check_keeping(const ManagerOptions& options) {
  if (options.max_to_keep) require_at_least("max_to_keep", *options.max_to_keep, 0);
  if (options.keep_period) require_at_least("keep_period", *options.keep_period, 1);
  if (options.keep_time_interval) {
    require_at_least("keep_time_interval", options.keep_time_interval->count(), 1);
  }
  const bool replaced = options.max_to_keep || options.keep_period || options.keep_time_interval ||
                        options.keep_latest || !options.keep_checkpoints_without_metrics;
  if (options.preservation_policy && replaced) {
    refuse(
        "preservation_policy decides alone, and max_to_keep, keep_period, keep_time_interval, "
        "keep_latest or keep_checkpoints_without_metrics is set too",
        "Put them into the policy: preservation::AnyOf");
  }
  if (options.keep_latest && !options.best_fn) {
    refuse("keep_latest is set without best_fn, and without it the latest steps are kept anyway");
  }
}

void check_names(const ManagerOptions& options) {
  const auto is_name = [](const std::string& name) {
    return !name.empty() && name.find('/') == std::string::npos && name[0] != '.';
  };
  if (!is_name(options.item_name)) {
    refuse("item_name '" + options.item_name + "' is not a directory name");
  }
  const StepRules rules = rules_of(options);
  const std::string& aside = options.todelete_subdir;
  if (aside.empty()) return;
  if (!is_name(aside) || orbax::is_temporary_name(aside) || rules.names->parse(aside)) {
    refuse("todelete_subdir '" + aside +
           "' is not a directory name, or is one of a step or a temporary directory");
  }
}

}  // namespace

void check_options(const ManagerOptions& options) {
  check_saving(options);
  check_keeping(options);
  check_names(options);
}

std::vector<std::string> reset_for_read_only(ManagerOptions& options) {
  std::vector<std::string> reset;
  const ManagerOptions unset;
  const auto clear = [&reset](const char* name, auto& value, const auto& none) {
    if (!value) return;
    reset.emplace_back(name);
    value = none;
  };
  // create is on unless somebody says otherwise: no reason to warn.
  options.create = false;
  clear("max_to_keep", options.max_to_keep, unset.max_to_keep);
  clear("keep_time_interval", options.keep_time_interval, unset.keep_time_interval);
  clear("keep_period", options.keep_period, unset.keep_period);
  clear("preservation_policy", options.preservation_policy, unset.preservation_policy);
  clear("save_decision_policy", options.save_decision_policy, unset.save_decision_policy);
  clear("should_save_fn", options.should_save_fn, unset.should_save_fn);
  clear("cleanup_tmp_directories", options.cleanup_tmp_directories, false);
  clear("enable_background_delete", options.enable_background_delete, false);
  clear("keep_latest", options.keep_latest, false);
  if (!options.todelete_subdir.empty()) {
    reset.emplace_back("todelete_subdir");
    options.todelete_subdir.clear();
  }
  if (!options.save_on_steps.empty()) {
    reset.emplace_back("save_on_steps");
    options.save_on_steps.clear();
  }
  return reset;
}

}  // namespace cairn::internal
