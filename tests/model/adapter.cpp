#include "model/adapter.h"

#include <chrono>
#include <limits>

namespace cairn::model {
namespace {

constexpr const char* kItem = "state";

double loss_of(const boost::json::object& metrics) {
  const double loss = metrics.at("loss").as_double();
  return loss == kNoScore ? std::numeric_limits<double>::quiet_NaN() : loss;
}

SaveDecisionPolicy policy_of(const SaveRule& rule) {
  switch (rule.kind) {
    case SaveRule::Kind::interval:
      return save_policy::FixedInterval(rule.n);
    case SaveRule::Kind::listed:
      return save_policy::SpecificSteps(rule.steps);
    case SaveRule::Kind::continuous:
      if (rule.n < 0) return save_policy::Continuous();
      return save_policy::Continuous(std::chrono::milliseconds(rule.n));
    case SaveRule::Kind::preemption:
      return save_policy::PreemptionSave();
    case SaveRule::Kind::initial:
      return save_policy::InitialSave();
  }
  return nullptr;
}

PreservationPolicy policy_of(const KeepRule& rule) {
  switch (rule.kind) {
    case KeepRule::Kind::all:
      return preservation::PreserveAll();
    case KeepRule::Kind::latest:
      return preservation::LatestN(rule.limit);
    case KeepRule::Kind::seconds:
      return preservation::EveryNSeconds(std::chrono::milliseconds(rule.n));
    case KeepRule::Kind::every:
      return preservation::EveryNSteps(rule.n, true, rule.limit);
    case KeepRule::Kind::spaced:
      return preservation::EveryNSteps(rule.n, false, rule.limit);
    case KeepRule::Kind::closest:
      return preservation::EveryNStepsClosest(rule.n, rule.limit);
    case KeepRule::Kind::listed:
      return preservation::CustomSteps(rule.steps);
    case KeepRule::Kind::best:
      return preservation::BestN(loss_of, rule.smallest, rule.limit, rule.without_metrics);
    case KeepRule::Kind::duration:
      return preservation::LatestDuration(std::chrono::milliseconds(rule.n));
  }
  return nullptr;
}

void set_names(ManagerOptions& options, Naming naming) {
  constexpr int kDigits = 4;
  switch (naming) {
    case Naming::plain:
      return;
    case Naming::padded:
      options.step_format_fixed_length = kDigits;
      return;
    case Naming::prefixed:
      options.step_prefix = "ckpt";
      return;
    case Naming::several:
      options.step_name_format =
          composite_name_format(standard_name_format("ckpt"),
                                {standard_name_format(), standard_name_format({}, kDigits)});
      return;
  }
}

void set_policies(ManagerOptions& options, const Settings& settings) {
  options.save_interval_steps = settings.interval;
  options.save_on_steps = settings.on_steps;
  if (const std::int64_t n = settings.should_save_fn; n > 0) {
    options.should_save_fn = [n](Step step, std::optional<Step> latest) {
      return (step + latest.value_or(0)) % n == 0;
    };
  }
  std::vector<SaveDecisionPolicy> saving;
  for (const SaveRule& rule : settings.save_rules) saving.push_back(policy_of(rule));
  if (!saving.empty()) options.save_decision_policy = save_policy::AnyOf(std::move(saving));
  options.max_to_keep = settings.max_to_keep;
  options.keep_period = settings.keep_period;
  if (settings.keep_ms) options.keep_time_interval = std::chrono::milliseconds(*settings.keep_ms);
  std::vector<PreservationPolicy> keeping;
  for (const KeepRule& rule : settings.keep_rules) keeping.push_back(policy_of(rule));
  if (!keeping.empty()) options.preservation_policy = preservation::AnyOf(std::move(keeping));
  if (settings.best != Best::none) options.best_fn = loss_of;
  options.best_mode = settings.best == Best::min ? BestMode::min : BestMode::max;
}

}  // namespace

ManagerOptions options_of(const Settings& settings) {
  ManagerOptions options;
  set_policies(options, settings);
  set_names(options, settings.naming);
  options.on_older_step = static_cast<OlderStep>(settings.on_older);
  options.keep_checkpoints_without_metrics = settings.without_metrics;
  options.allow_missing_metrics = settings.allow_missing;
  options.keep_latest = settings.keep_latest;
  options.verify_before_delete = static_cast<VerifyBeforeDelete>(settings.verify);
  options.read_only = settings.read_only;
  options.lightweight_initialize = settings.lightweight;
  options.strict_errors = settings.strict_errors;
  options.cleanup_tmp_directories = settings.clean_up;
  if (settings.aside) options.todelete_subdir = kAside;
  options.enable_background_delete = settings.background_delete;
  options.enable_async_checkpointing = settings.asynchronous;
  options.no_progress_timeout = std::chrono::milliseconds(0);
  return options;
}

SaveOptions options_of(const SaveCall& call) {
  SaveOptions options;
  if (call.loss) options.metrics["loss"] = *call.loss;
  options.force = call.force;
  options.overwrite = call.overwrite;
  return options;
}

args::SaveArgs state_of(const SaveCall& call, bool json) {
  const bool empty = call.fault == Fault::no_tree;
  const auto item = [&]() -> args::ItemSave {
    if (empty) return args::StandardSave(Tree(Dict{}));
    if (json) return args::JsonSave(boost::json::value(call.value));
    return args::StandardSave(Tree(Dict{{"value", Tree(call.value)}}));
  };
  if (!call.composite) return item();
  args::Composite items;
  items.add(kItem, item());
  return items;
}

std::int64_t value_of(const CheckpointManager& manager, std::optional<Step> step, bool composite,
                      bool json) {
  args::ItemRestore item = args::StandardRestore();
  if (json) item = args::JsonRestore();
  const std::string name = composite ? kItem : "default";
  args::RestoreArgs how = item;
  if (composite) how = args::CompositeRestore{{name, item}};
  Restored restored = manager.restore(step, std::move(how)).get();
  if (json) return restored.json(name).as_int64();
  return restored.tree(name).at("value").as<std::int64_t>();
}

}  // namespace cairn::model
