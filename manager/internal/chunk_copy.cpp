#include <cairn/codecs/cast.h>
#include <cairn/codecs/crc32c.h>
#include <cairn/manager/internal/chunk_copy.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace cairn::internal {
namespace {

bool equal(std::span<const Index> a, std::span<const Index> b) {
  return std::ranges::equal(a, b);
}

/// True when a box of shape `box` in a C-order array of shape `array` is one run of memory: single
/// indices first, then one axis taken in part, then whole axes.
bool is_one_run(std::span<const Index> box, std::span<const Index> array) {
  std::size_t axis = 0;
  while (axis < box.size() && box[axis] == 1) ++axis;
  for (std::size_t d = axis + 1; d < box.size(); ++d) {
    if (box[d] != array[d]) return false;
  }
  return true;
}

void put_checksum(std::byte* to, std::uint32_t crc) {
  std::memcpy(to, &crc, kChecksumBytes);
}

}  // namespace

std::optional<std::span<const std::byte>> dense_run(const ArrayView& view,
                                                    const IndexRange& range) {
  if (!view.contiguous() || !is_one_run(range.shape, view.shape())) return std::nullopt;
  std::ptrdiff_t offset = 0;
  for (std::size_t d = 0; d < range.origin.size(); ++d)
    offset += range.origin[d] * view.strides()[d];
  return std::span(view.data() + offset, byte_count(view.dtype(), range.shape));
}

void store_chunk(const ArrayView& view, const IndexRange& range, DType dtype,
                 std::span<const Index> chunk_shape, std::byte* to, std::uint32_t seed) {
  const std::size_t full = byte_count(dtype, chunk_shape);
  // What is one run of memory in both, such as the last rows of an array, is read once.
  if (view.dtype() == dtype && is_one_run(range.shape, chunk_shape)) {
    if (const auto run = dense_run(view, range)) {
      const std::uint32_t crc = copy_crc32c(*run, to, seed);
      const std::span padding(to + run->size(), full - run->size());
      std::ranges::fill(padding, std::byte{0});
      put_checksum(to + full, crc32c(padding, crc));
      return;
    }
  }
  if (!equal(range.shape, chunk_shape)) std::memset(to, 0, full);
  std::ptrdiff_t offset = 0;
  for (std::size_t d = 0; d < range.origin.size(); ++d)
    offset += range.origin[d] * view.strides()[d];
  cast_region(view.data() + offset, view.dtype(), view.strides(), range.shape, to, dtype,
              c_strides(dtype, chunk_shape));
  append_checksum(to, full, seed);
}

void store_run(std::span<const std::byte> elements, std::byte* to, std::uint32_t seed) {
  put_checksum(to + elements.size(), copy_crc32c(elements, to, seed));
}

void append_checksum(std::byte* to, std::size_t elements, std::uint32_t seed) {
  put_checksum(to + elements, crc32c(std::span(to, elements), seed));
}

}  // namespace cairn::internal
