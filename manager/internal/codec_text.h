#pragma once
// Codecs in short, for people: "blosc(zstd,5,shuffle)".

#include <cairn/codecs/zarr.h>

#include <string>
#include <vector>

namespace cairn::internal {

/// One text for each codec of the chain, in order; a shard's own chain is within its text.
[[nodiscard]] std::vector<std::string> codec_texts(const zarr::CodecChain& chain);

}  // namespace cairn::internal
