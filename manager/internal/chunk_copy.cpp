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

void store_chunk(const ArrayView& view, const IndexRange& range, std::span<const Index> chunk_shape,
                 std::byte* to, std::uint32_t seed) {
  const std::size_t full = byte_count(view.dtype(), chunk_shape);
  if (equal(range.shape, chunk_shape)) {
    if (const auto run = dense_run(view, range)) {
      put_checksum(to + full, copy_crc32c(*run, to, seed));
      return;
    }
    copy_region(view, range.origin, range.shape, to);
    append_checksum(to, full, seed);
    return;
  }
  std::memset(to, 0, full);
  if (is_one_run(range.shape, chunk_shape)) {
    copy_region(view, range.origin, range.shape, to);
  } else {
    std::vector<std::byte> dense(byte_count(view.dtype(), range.shape));
    copy_region(view, range.origin, range.shape, dense.data());
    scatter_region(dense.data(), view.dtype(), range.shape, to,
                   c_strides(view.dtype(), chunk_shape));
  }
  append_checksum(to, full, seed);
}

void append_checksum(std::byte* to, std::size_t elements, std::uint32_t seed) {
  put_checksum(to + elements, crc32c(std::span(to, elements), seed));
}

bool checksum_matches(const std::byte* stored, std::size_t elements, std::uint32_t& expected,
                      std::uint32_t& found) {
  std::memcpy(&expected, stored + elements, kChecksumBytes);
  found = crc32c(std::span(stored, elements));
  return expected == found;
}

void load_chunk(const std::byte* elements, DType dtype, const IndexRange& range,
                std::span<const Index> chunk_shape, std::span<const Index> array_shape,
                std::byte* to) {
  const std::vector<Index> strides = c_strides(dtype, array_shape);
  std::ptrdiff_t offset = 0;
  for (std::size_t d = 0; d < range.origin.size(); ++d) offset += range.origin[d] * strides[d];
  if (is_one_run(range.shape, array_shape) && is_one_run(range.shape, chunk_shape)) {
    std::memcpy(to + offset, elements, byte_count(dtype, range.shape));
    return;
  }
  if (equal(range.shape, chunk_shape)) {
    scatter_region(elements, dtype, range.shape, to + offset, strides);
    return;
  }
  const ArrayView chunk(dtype, Shape(chunk_shape.begin(), chunk_shape.end()), elements);
  std::vector<std::byte> dense(byte_count(dtype, range.shape));
  copy_region(chunk, Shape(range.shape.size(), 0), range.shape, dense.data());
  scatter_region(dense.data(), dtype, range.shape, to + offset, strides);
}

void swap_bytes(std::byte* elements, std::size_t bytes, DType dtype) {
  std::size_t width = size_of(dtype);
  if (dtype == DType::complex64 || dtype == DType::complex128) width /= 2;
  if (width == 1) return;
  for (std::size_t i = 0; i + width <= bytes; i += width)
    std::reverse(elements + i, elements + i + width);
}

}  // namespace cairn::internal
