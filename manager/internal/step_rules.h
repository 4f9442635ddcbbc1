#pragma once
// How the steps of a root lie in it: their names, and what makes one committed.

#include <cairn/manager/internal/storage.h>
#include <cairn/manager/options.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

struct StepRules {
  StepRules() : names(standard_name_format()) {}
  StepRules(StepNameFormatPtr n, Atomicity a) : names(std::move(n)), atomicity(a) {}
  StepNameFormatPtr names;
  Atomicity atomicity = Atomicity::rename;
};

/// The rules that options ask for; throws Error(invalid_argument).
[[nodiscard]] StepRules rules_of(const ManagerOptions& options);

/// The name of a temporary directory of a step's.
[[nodiscard]] std::string temporary_name(const std::string& step_name);
/// A fresh trash name for a step's directory.
[[nodiscard]] std::string trash_name(const std::string& step_name);
[[nodiscard]] bool is_trash_name(const StepRules& rules, std::string_view name);
/// Whether it is a temporary directory, trash included, that this project or Orbax makes for a step
/// of these names.
[[nodiscard]] bool is_leftover_name(const StepRules& rules, std::string_view name);

/// Directories of one root that hold a committed step.
struct ListedStep {
  ListedStep(Step s, std::string n) : step(s), name(std::move(n)) {}
  Step step;
  std::string name;
};
/// Steps of a root, ascending; of several directories for a step the one that find_step() finds.
struct ListedSteps {
  ListedSteps() = default;
  std::vector<ListedStep> committed;
  std::vector<ListedStep> begun;  ///< with their names already, and without their markers
};
/// Of the steps above `above`; none: of all.
Task<ListedSteps> list_steps_above(FolderPtr root, StepRules rules, std::optional<Step> above);
/// The committed ones of all.
Task<std::vector<ListedStep>> list_committed_steps(FolderPtr root, StepRules rules);
/// The directory of a committed step; none where there is none.
Task<std::optional<std::string>> find_step(FolderPtr root, StepRules rules, Step step);
/// All of them, the one that find_step() finds first.
Task<std::vector<std::string>> find_all_of_step(FolderPtr root, StepRules rules, Step step);
/// Whether a directory with a step's name is a committed step.
Task<bool> is_committed(FolderPtr root, StepRules rules, std::string name);

}  // namespace cairn::internal
