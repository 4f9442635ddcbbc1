#pragma once
// safetensors files for tools: what they hold, whether they are sound, what their values are like.

#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/selection.h>
#include <cairn/manager/internal/storage.h>

#include <string>
#include <vector>

namespace cairn::internal {

Task<ItemInfo> describe_safetensors(EnginePtr engine, std::string path, bool follow_links);
/// Of headers, sizes and index alone: the format has no checksums.
Task<VerifyReport> verify_safetensors(EnginePtr engine, std::string path, bool follow_links);
/// Block by block; holds no more than the engine's window and as much again.
Task<std::vector<LeafValues>> safetensors_values(EnginePtr engine, std::string path,
                                                 Selections selections, bool follow_links);

}  // namespace cairn::internal
