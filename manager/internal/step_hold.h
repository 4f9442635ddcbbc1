#pragma once
// The reader's lock on a whole step, for those who read it later or elsewhere.

#include <cairn/manager/internal/held_lock.h>
#include <cairn/manager/internal/step_rules.h>

#include <memory>
#include <string>
#include <utility>

namespace cairn::internal {

/// What stands behind a HeldStep.
struct StepHold {
  StepHold(Step s, FolderPtr f) : step(s), folder(std::move(f)) {}
  const Step step;
  const FolderPtr folder;
  std::unique_ptr<HeldLock> lock;  ///< none where the step cannot be locked
};
using StepHoldPtr = std::shared_ptr<StepHold>;

/// Holds a committed step of `root`; null where it has been deleted since it was listed, or is
/// being deleted. What it gives is durable: `root`, or the step, is synced first.
Task<StepHoldPtr> hold_step(FolderPtr root, StepRules rules, ListedStep listed);

}  // namespace cairn::internal
