#pragma once
// Writing safetensors files: bytes in large direct writes, names when everything is durable.

#include <cairn/manager/internal/safetensors_plan.h>
#include <cairn/manager/internal/storage.h>

#include <memory>
#include <string>
#include <vector>

namespace cairn::internal {

/// See write_safetensors().
Task<SafetensorsWritten> write_files(EnginePtr engine, Tree tree, std::string path,
                                     SafetensorsWriteOptions options);

/// Writes the bytes of `plan` to the empty `file` and syncs it. `plan` and what it points to live
/// meanwhile.
Task<void> write_planned(EnginePtr engine, FilePtr file, const PlannedFile* plan);

}  // namespace cairn::internal
