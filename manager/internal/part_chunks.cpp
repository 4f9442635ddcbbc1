#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/part_chunks.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace cairn::internal {
namespace {

static_assert(kPartChunkBytesMin <= kFineChunkBytesMin / 4);

/// The largest divisor of `whole` that is at most `limit`, which is at least 1.
Index divisor_below(Index whole, Index limit) {
  Index best = 1;
  for (Index i = 1; i <= whole / i; ++i) {
    if (whole % i != 0) continue;
    if (i <= limit) best = std::max(best, i);
    if (whole / i <= limit) best = std::max(best, whole / i);
  }
  return best;
}

/// `whole` in as few pieces of at most `limit` as can be, of one size but for the last.
Index balanced_below(Index whole, Index limit) {
  const Index pieces = (whole + limit - 1) / limit;
  return (whole + pieces - 1) / pieces;
}

/// The greatest common divisor of the edges along each axis; 0 where there is none but the array's.
Shape edge_divisors(const Shape& shape, const std::vector<IndexRange>& boxes) {
  Shape common(shape.size());
  for (const IndexRange& box : boxes) {
    if (element_count(box.shape) == 0) continue;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const Index end = box.origin[d] + box.shape[d];
      common[d] = std::gcd(common[d], box.origin[d]);
      if (end < shape[d]) common[d] = std::gcd(common[d], end);
    }
  }
  return common;
}

}  // namespace

Shape common_chunk(DType dtype, const Shape& shape, const std::vector<IndexRange>& boxes,
                   std::size_t bytes_max) {
  const Shape common = edge_divisors(shape, boxes);
  Shape chunk = common;
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (common[d] == 0) chunk[d] = std::max<Index>(shape[d], 1);
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const std::size_t bytes = byte_count(dtype, chunk);
    if (bytes <= bytes_max) break;
    const std::size_t slice = bytes / static_cast<std::size_t>(chunk[d]);
    const auto limit = static_cast<Index>(std::max<std::size_t>(bytes_max / slice, 1));
    // Only between edges must it come out even.
    chunk[d] = common[d] == 0 ? balanced_below(chunk[d], limit) : divisor_below(chunk[d], limit);
  }
  return chunk;
}

Shape chunk_of_parts(const Leaf& leaf, DType dtype, std::size_t bytes_max) {
  if (leaf.parts().size() < 2 || element_count(leaf.shape()) == 0) return {};
  std::vector<IndexRange> boxes;
  boxes.reserve(leaf.parts().size());
  for (const LeafPart& part : leaf.parts()) boxes.push_back(part.range);
  const Shape whole =
      common_chunk(dtype, leaf.shape(), boxes, std::numeric_limits<std::size_t>::max());
  Shape chunk = common_chunk(dtype, leaf.shape(), boxes, bytes_max);
  // A prime number of rows between two edges has no divisor near the target.
  const std::size_t aim = std::min(bytes_max, byte_count(dtype, whole));
  if (byte_count(dtype, chunk) < std::max(kPartChunkBytesMin, aim / kSmallerAtMost)) return {};
  return chunk;
}

}  // namespace cairn::internal
