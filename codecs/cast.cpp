#include <cairn/codecs/cast.h>
#include <cairn/codecs/internal/cast_steps.h>
#include <cairn/codecs/internal/strided_plan.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <stdexcept>

namespace cairn {
namespace {

using internal::CastRun;
using internal::CastSteps;
using internal::StridedAxis;

// Elements between two steps: few enough for the fastest cache, enough that a step costs little.
constexpr std::size_t kBlock = 512;
constexpr std::size_t kElementBytesMax = 8;  // of a real type

// One row of elements.
struct Line {
  const std::byte* from;
  std::byte* to;
  StridedAxis axis;
};

bool is_complex(DType dtype) noexcept {
  return dtype == DType::complex64 || dtype == DType::complex128;
}

// The type of both parts of a complex number; of a real number, its own.
DType part_of(DType dtype) noexcept {
  if (dtype == DType::complex64) return DType::float32;
  return dtype == DType::complex128 ? DType::float64 : dtype;
}

void cast_dense(const CastSteps& steps, std::size_t item, const std::byte* from, std::byte* to,
                std::size_t to_item, std::size_t count) {
  if (steps.load == nullptr && steps.store == nullptr) {
    std::memcpy(to, from, count * item);
  } else if (steps.load == nullptr || steps.store == nullptr) {
    (steps.load == nullptr ? steps.store : steps.load)(from, to, count);
  } else {
    std::array<std::byte, kBlock * internal::kCastNumberBytes> numbers;
    for (std::size_t done = 0; done < count; done += kBlock) {
      const std::size_t block = std::min(kBlock, count - done);
      steps.load(from + done * item, numbers.data(), block);
      steps.store(numbers.data(), to + done * to_item, block);
    }
  }
}

// Real types, wherever their elements lie: they are gathered and scattered around dense blocks.
void cast_line(const Line& line, DType from_type, DType to_type) {
  const CastSteps steps = internal::cast_steps(from_type, to_type);
  const std::size_t from_item = size_of(from_type);
  const std::size_t to_item = size_of(to_type);
  const auto from_size = static_cast<Index>(from_item);
  const auto to_size = static_cast<Index>(to_item);
  const auto [extent, from_stride, to_stride] = line.axis;
  if (from_stride == from_size && to_stride == to_size) {
    cast_dense(steps, from_item, line.from, line.to, to_item, static_cast<std::size_t>(extent));
    return;
  }
  std::array<std::byte, kBlock * kElementBytesMax> gathered;
  std::array<std::byte, kBlock * kElementBytesMax> made;
  const internal::CopyLine gather = internal::line_copier(from_item);
  const internal::CopyLine scatter = internal::line_copier(to_item);
  for (Index done = 0; done < extent; done += static_cast<Index>(kBlock)) {
    const Index block = std::min(static_cast<Index>(kBlock), extent - done);
    gather(line.from + done * from_stride, gathered.data(), {block, from_stride, from_size},
           from_item);
    cast_dense(steps, from_item, gathered.data(), made.data(), to_item,
               static_cast<std::size_t>(block));
    scatter(made.data(), line.to + done * to_stride, {block, to_size, to_stride}, to_item);
  }
}

// Where the imaginary parts lie.
const std::byte* imaginary(const std::byte* real, DType dtype) {
  return real + size_of(part_of(dtype));
}

// True where either part is not zero.
void cast_complex_to_bool(const Line& line, DType from_type) {
  const DType part = part_of(from_type);
  std::array<std::byte, kBlock> other;
  for (Index done = 0; done < line.axis.extent; done += static_cast<Index>(kBlock)) {
    StridedAxis axis = line.axis;
    axis.extent = std::min(static_cast<Index>(kBlock), axis.extent - done);
    const std::byte* from = line.from + done * axis.from_stride;
    std::byte* to = line.to + done * axis.to_stride;
    cast_line({from, to, axis}, part, DType::boolean);
    cast_line({imaginary(from, from_type), other.data(), {axis.extent, axis.from_stride, 1}}, part,
              DType::boolean);
    for (Index i = 0; i < axis.extent; ++i) {
      to[i * axis.to_stride] |= other[static_cast<std::size_t>(i)];
    }
  }
}

void cast_any_line(const Line& line, DType from_type, DType to_type) {
  if (is_complex(from_type) && to_type == DType::boolean) {
    cast_complex_to_bool(line, from_type);
    return;
  }
  const DType from_part = part_of(from_type);
  const DType to_part = part_of(to_type);
  cast_line(line, from_part, to_part);
  if (!is_complex(to_type)) return;
  std::byte* second = line.to + size_of(to_part);
  if (is_complex(from_type)) {
    cast_line({imaginary(line.from, from_type), second, line.axis}, from_part, to_part);
    return;
  }
  constexpr std::array<std::byte, kElementBytesMax> kZero{};
  internal::line_copier(size_of(to_part))(
      kZero.data(), second, {line.axis.extent, 0, line.axis.to_stride}, size_of(to_part));
}

// Of the same type elements are copied as they are: a bool that is 2 stays so.
void copy_same(const std::byte* from, std::byte* to, const StridedAxis& axis, std::size_t item) {
  const auto size = static_cast<Index>(item);
  if (axis.from_stride == size && axis.to_stride == size) {
    std::memcpy(to, from, item * static_cast<std::size_t>(axis.extent));
  } else {
    internal::line_copier(item)(from, to, axis, item);
  }
}

void check_castable(DType from, DType to) {
  if (castable(from, to)) return;
  throw std::invalid_argument(
      fmt::format("{} cannot be cast to {}; cast to float32 first", name_of(from), name_of(to)));
}

void check_strides(const char* place, std::span<const Index> strides,
                   std::span<const Index> shape) {
  if (strides.size() == shape.size()) return;
  throw std::invalid_argument(
      fmt::format("{} of shape [{}]: {} strides given; allowed: {}, one per axis", place,
                  fmt::join(shape, ", "), strides.size(), shape.size()));
}

}  // namespace

bool castable(DType from, DType to) noexcept {
  const auto tiny = [](DType dtype) {
    return dtype == DType::int2 || dtype == DType::int4 ||
           (dtype >= DType::float4_e2m1fn && dtype < DType::float8_e8m0fnu);
  };
  if (from == DType::int4 && to == DType::int2) return false;
  if (from == DType::float8_e8m0fnu) return !tiny(to);
  return to != DType::float8_e8m0fnu || !tiny(from);
}

void cast(std::span<const std::byte> from, DType from_type, std::span<std::byte> to,
          DType to_type) {
  check_castable(from_type, to_type);
  const std::size_t from_item = size_of(from_type);
  const std::size_t to_item = size_of(to_type);
  const std::size_t count = from.size() / from_item;
  if (from.size() % from_item != 0 || to.size() != count * to_item) {
    throw std::invalid_argument(fmt::format(
        "cast of {} bytes of {} to {} bytes of {}: not as many elements; allowed: {} "
        "bytes per element and {}",
        from.size(), name_of(from_type), to.size(), name_of(to_type), from_item, to_item));
  }
  if (count == 0) return;
  const auto extent = static_cast<Index>(count);
  const Index from_stride = static_cast<Index>(from_item);
  const Index to_stride = static_cast<Index>(to_item);
  cast_region(from.data(), from_type, std::span(&from_stride, 1), std::span(&extent, 1), to.data(),
              to_type, std::span(&to_stride, 1));
}

void cast_region(const std::byte* from, DType from_type, std::span<const Index> from_strides,
                 std::span<const Index> shape, std::byte* to, DType to_type,
                 std::span<const Index> to_strides) {
  check_castable(from_type, to_type);
  check_strides("source", from_strides, shape);
  check_strides("target", to_strides, shape);
  if (element_count(shape) == 0) return;
  assert(to != nullptr && from != nullptr);
  internal::StridedPlan plan = internal::make_strided_plan(shape, from_strides, to_strides);
  const StridedAxis axis = plan.rank == 0 ? StridedAxis{1, static_cast<Index>(size_of(from_type)),
                                                        static_cast<Index>(size_of(to_type))}
                                          : plan.pop();
  internal::for_each_offset(plan, [&](Index from_offset, Index to_offset) {
    if (from_type == to_type) {
      copy_same(from + from_offset, to + to_offset, axis, size_of(from_type));
    } else {
      cast_any_line({from + from_offset, to + to_offset, axis}, from_type, to_type);
    }
  });
}

}  // namespace cairn
