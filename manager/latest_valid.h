#pragma once
// What restore_latest_valid() gives.

#include <cairn/manager/args.h>
#include <cairn/manager/error.h>
#include <cairn/manager/save_future.h>

#include <utility>
#include <vector>

namespace cairn {

/// A step that was tried and could not be restored.
struct SkippedStep {
  SkippedStep(Step s, Error e) : step(s), error(std::move(e)) {}
  Step step;
  Error error;
};

/// A step that is sound, and those above it that are not.
struct LatestValid {
  LatestValid() = default;
  Restored restored;
  std::vector<SkippedStep> skipped;  ///< newer ones, newest first
};

}  // namespace cairn
