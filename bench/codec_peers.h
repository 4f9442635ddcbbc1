#pragma once
// Codecs of others, to compare ours with.

#include <cstddef>
#include <span>
#include <vector>

#include "codec_runs.h"

namespace cairn::bench {

/// libblosc's, zstd, gzip, and LZ4 where the build found it.
[[nodiscard]] std::vector<CodecRun> peers();
/// Room that the largest of their outputs takes.
[[nodiscard]] std::size_t peer_bound(std::size_t bytes);
/// A Blosc frame, as a program without this library reads it.
void decode_by_libblosc(std::span<const std::byte> from, std::span<std::byte> to);

}  // namespace cairn::bench
