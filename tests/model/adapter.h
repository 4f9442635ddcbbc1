#pragma once
// What the plain data of sequences is for a CheckpointManager.

#include <cairn/cairn.h>

#include "model/settings.h"

namespace cairn::model {

/// All but the engine.
[[nodiscard]] ManagerOptions options_of(const Settings& settings);
[[nodiscard]] SaveOptions options_of(const SaveCall& call);
[[nodiscard]] args::SaveArgs state_of(const SaveCall& call, bool json);
/// The value that a step was saved with.
[[nodiscard]] std::int64_t value_of(const CheckpointManager& manager, std::optional<Step> step,
                                    bool composite, bool json);

}  // namespace cairn::model
