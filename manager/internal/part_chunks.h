#pragma once
// Chunks of arrays that are given in parts: a chunk that lies in one part is read from one source,
// and written by the process that has it. Pure.

#include <cairn/codecs/dtype.h>
#include <cairn/codecs/leaf.h>

#include <cstddef>
#include <vector>

namespace cairn::internal {

/// Chunks of less are not made for the sake of parts: to read two sources for one costs less than
/// so many. Well below kFineChunkBytesMin, as a divisor of what lies between edges may be.
inline constexpr std::size_t kPartChunkBytesMin = 32u << 10;

/// Nor chunks so many times smaller than was aimed at.
inline constexpr std::size_t kSmallerAtMost = 8;

/// The largest chunk of an array of `shape` of which none straddles the edge of a box, divided
/// until it has at most `bytes_max`, where it can be. No boxes: as of one that is all of it.
[[nodiscard]] Shape common_chunk(DType dtype, const Shape& shape,
                                 const std::vector<IndexRange>& boxes, std::size_t bytes_max);

/// The same for the parts of a leaf that one process has, saved as `dtype`. Empty where there is
/// one part, or the parts' edges leave chunks that are too small.
[[nodiscard]] Shape chunk_of_parts(const Leaf& leaf, DType dtype, std::size_t bytes_max);

}  // namespace cairn::internal
