#pragma once
// What CheckpointManager::metadata(step) and item_metadata(step) read.

#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/step_metadata.h>

#include <string>

namespace cairn::internal {

Task<StepMetadata> read_step_metadata(EnginePtr engine, std::string path, ReaderSettings settings);

}  // namespace cairn::internal
