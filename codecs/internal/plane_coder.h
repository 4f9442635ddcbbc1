#pragma once
// The coders of a plane behind one signature.

#include <cairn/codecs/blosc.h>
#include <cairn/codecs/internal/literals_frame.h>

#include <cstddef>
#include <span>

namespace cairn::blosc::internal {

/// A zstd frame of `content` of at most `limit` bytes, as encode_literals_frame() makes one.
using EncodePlane = std::size_t (*)(std::span<const std::byte> content, std::size_t plane_bytes,
                                    PlaneCode& before, std::byte* to, std::size_t limit);
/// Throws std::invalid_argument where the processor cannot run `coder`.
[[nodiscard]] EncodePlane plane_encoder(PlaneCoder coder);

}  // namespace cairn::blosc::internal
