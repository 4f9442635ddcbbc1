#include <cairn/codecs/orbax.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/random.h>
#include <cairn/manager/internal/step_rules.h>

#include <algorithm>
#include <map>

namespace cairn::internal {
namespace {

constexpr std::string_view kTrashInfix = "-deleted-";
constexpr std::size_t kTrashSuffixBytes = 8;
/// Steps that are looked at side by side.
constexpr std::size_t kLookedAtMax = 64;

bool all_of(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

/// What follows the infix in the temporary name of a step; none where it is no such name.
std::optional<std::string_view> after_infix(const StepRules& rules, std::string_view name) {
  const auto infix = name.find(orbax::kTemporaryInfix);
  if (infix == std::string_view::npos || !rules.names->parse(name.substr(0, infix)))
    return std::nullopt;
  return name.substr(infix + orbax::kTemporaryInfix.size());
}

bool is_trash_suffix(std::string_view rest) {
  if (!rest.starts_with(kTrashInfix)) return false;
  rest.remove_prefix(kTrashInfix.size());
  return rest.size() == 2 * kTrashSuffixBytes && all_of(rest, "0123456789abcdef");
}

Task<void> look_at(FolderPtr root, StepRules rules, std::string name, bool* committed) {
  *committed = co_await is_committed(root, rules, name);
}

}  // namespace

StepRules rules_of(const ManagerOptions& options) {
  if (options.step_name_format) return StepRules(options.step_name_format, options.atomicity);
  auto names = standard_name_format(options.step_prefix, options.step_format_fixed_length);
  return StepRules(std::move(names), options.atomicity);
}

std::string temporary_name(const std::string& step_name) {
  return step_name + std::string(orbax::kTemporaryInfix);
}

std::string trash_name(const std::string& step_name) {
  return temporary_name(step_name) + std::string(kTrashInfix) + random_hex(kTrashSuffixBytes);
}

bool is_trash_name(const StepRules& rules, std::string_view name) {
  const auto rest = after_infix(rules, name);
  return rest && is_trash_suffix(*rest);
}

bool is_leftover_name(const StepRules& rules, std::string_view name) {
  const auto rest = after_infix(rules, name);
  if (!rest) return false;
  // Orbax before 0.6 put a timestamp behind the infix.
  const bool stamped =
      rest->size() > 1 && rest->front() == '-' && all_of(rest->substr(1), "0123456789");
  return rest->empty() || stamped || is_trash_suffix(*rest);
}

Task<bool> is_committed(FolderPtr root, StepRules rules, std::string name) {
  if (rules.atomicity == Atomicity::rename) co_return true;
  const std::string marker = join_path(name, std::string(orbax::kCommitMarkerFile));
  const auto status = co_await find_status(root, marker);
  co_return status.has_value();
}

Task<ListedSteps> list_steps_above(FolderPtr root, StepRules rules, std::optional<Step> above) {
  const auto entries = co_await list_folder(root);
  std::map<Step, std::string> found;
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type != engine::FileType::directory) continue;
    const auto step = rules.names->parse(entry.name);
    if (!step || (above && *step <= *above)) continue;
    const auto [there, inserted] = found.emplace(*step, entry.name);
    if (inserted) continue;
    for (const std::string& candidate : rules.names->candidates(*step)) {
      if (candidate != entry.name && candidate != there->second) continue;
      there->second = candidate;
      break;
    }
  }
  std::vector<ListedStep> steps;
  steps.reserve(found.size());
  for (auto& [step, name] : found) steps.emplace_back(step, std::move(name));
  ListedSteps listed;
  if (rules.atomicity == Atomicity::rename) {
    listed.committed = std::move(steps);
    co_return listed;
  }
  const auto committed = std::make_unique<bool[]>(steps.size());
  engine::Nursery nursery(root->engine->executor());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    nursery.spawn(look_at(root, rules, steps[i].name, &committed[i]));
    const bool well = co_await nursery.wait_below(kLookedAtMax);
    if (!well) break;
  }
  co_await nursery.join();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    (committed[i] ? listed.committed : listed.begun).push_back(std::move(steps[i]));
  }
  co_return listed;
}

Task<std::vector<ListedStep>> list_committed_steps(FolderPtr root, StepRules rules) {
  ListedSteps listed = co_await list_steps_above(std::move(root), std::move(rules), std::nullopt);
  co_return std::move(listed.committed);
}

Task<std::vector<std::string>> find_all_of_step(FolderPtr root, StepRules rules, Step step) {
  const std::vector<std::string> candidates = rules.names->candidates(step);
  std::vector<std::string> found;
  for (const std::string& name : candidates) {
    const auto status = co_await find_status(root, name);
    if (!status || status->type != engine::FileType::directory) continue;
    const bool committed = co_await is_committed(root, rules, name);
    if (committed) found.push_back(name);
  }
  co_return found;
}

Task<std::optional<std::string>> find_step(FolderPtr root, StepRules rules, Step step) {
  const std::vector<std::string> candidates = rules.names->candidates(step);
  for (const std::string& name : candidates) {
    const auto status = co_await find_status(root, name);
    if (!status || status->type != engine::FileType::directory) continue;
    const bool committed = co_await is_committed(root, rules, name);
    if (committed) co_return name;
  }
  co_return std::nullopt;
}

}  // namespace cairn::internal
