#pragma once
// What policies ask of the steps of a root: commit times and metrics.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/step_index.h>
#include <cairn/manager/internal/step_rules.h>

#include <functional>
#include <string>
#include <vector>

namespace cairn::internal {

/// Largest step metadata file that is read.
inline constexpr std::uint64_t kStepMetadataBytesMax = 256u << 20;

using WarnStep = std::function<void(Step, std::string)>;

/// Reads the metadata of each step, many at once. A step that vanishes meanwhile is left out; one
/// whose metadata is damaged or cannot be read is in, as damaged, and `warn` hears of it. Where
/// there is no metadata file the time is the directory's.
Task<std::vector<StepRecord>> read_step_records(FolderPtr root, std::vector<ListedStep> steps,
                                                WarnStep warn);
/// The same without a look at them.
[[nodiscard]] std::vector<StepRecord> unread_records(const std::vector<ListedStep>& steps);

}  // namespace cairn::internal
