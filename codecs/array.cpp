#include <cairn/codecs/array.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>
#include <cstdlib>
#include <limits>
#include <new>
#include <stdexcept>

namespace cairn {
namespace {

constexpr std::size_t kAlignment = 64;  // a cache line, and AVX-512's widest access
constexpr std::size_t kPage = 4096;     // direct I/O from the array's own memory
constexpr std::size_t kPageAlignedFrom = std::size_t{64} << 10;
static_assert(kPageAlignedFrom % kPage == 0);
constexpr auto kMaxIndex = static_cast<std::size_t>(std::numeric_limits<Index>::max());

std::byte* allocate(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const std::size_t alignment = bytes >= kPageAlignedFrom ? kPage : kAlignment;
  // aligned_alloc wants a multiple of the alignment.
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

bool is_dense(DType dtype, const Shape& shape, const std::vector<Index>& strides, Index size) {
  if (size <= 1) return true;
  auto expected = static_cast<Index>(size_of(dtype));
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 1) continue;  // nobody ever takes that step
    if (strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

}  // namespace

Index element_count(std::span<const Index> shape) {
  if (shape.size() > kMaxRank) {
    throw std::invalid_argument(
        fmt::format("shape of rank {}; at most {} axes are allowed", shape.size(), kMaxRank));
  }
  bool empty = false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) {
      throw std::invalid_argument(
          fmt::format("shape [{}]: extent {} of axis {} is negative; allowed: 0 or more",
                      fmt::join(shape, ", "), shape[i], i));
    }
    empty = empty || shape[i] == 0;
  }
  if (empty) return 0;
  Index count = 1;
  for (const Index extent : shape) {
    if (__builtin_mul_overflow(count, extent, &count)) {
      throw std::invalid_argument(fmt::format(
          "shape [{}] has more than 2^63-1 elements; allowed: fewer", fmt::join(shape, ", ")));
    }
  }
  return count;
}

std::size_t byte_count(DType dtype, std::span<const Index> shape) {
  const auto count = static_cast<std::size_t>(element_count(shape));
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size_of(dtype), &bytes) || bytes > kMaxIndex) {
    throw std::invalid_argument(
        fmt::format("shape [{}] of {} has more than 2^63-1 bytes; allowed: fewer",
                    fmt::join(shape, ", "), name_of(dtype)));
  }
  return bytes;
}

std::vector<Index> c_strides(DType dtype, std::span<const Index> shape) {
  const std::size_t bytes = byte_count(dtype, shape);
  std::vector<Index> strides(shape.size(), static_cast<Index>(size_of(dtype)));
  if (bytes == 0) return strides;
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

void Array::Free::operator()(std::byte* p) const noexcept {
  std::free(p);
}

Array::Array(Uninitialized, DType dtype, Shape shape)
    : dtype_(dtype),
      shape_(std::move(shape)),
      size_(element_count(shape_)),
      data_(allocate(byte_count(dtype, shape_))) {}

Array::Array(DType dtype, Shape shape) : Array(Uninitialized{}, dtype, std::move(shape)) {
  if (size_ != 0) std::memset(data_.get(), 0, bytes().size());
}

Array Array::uninitialized(DType dtype, Shape shape) {
  return Array(Uninitialized{}, dtype, std::move(shape));
}

Array::Array(const Array& other)
    : dtype_(other.dtype_),
      shape_(other.shape_),
      size_(other.size_),
      data_(allocate(other.bytes().size())) {
  if (size_ != 0) std::memcpy(data_.get(), other.data_.get(), bytes().size());
}

Array& Array::operator=(const Array& other) {
  if (this != &other) *this = Array(other);
  return *this;
}

Array::Array(Array&& other) noexcept
    : dtype_(other.dtype_),
      shape_(std::move(other.shape_)),
      size_(std::exchange(other.size_, 0)),
      data_(std::move(other.data_)) {}

Array& Array::operator=(Array&& other) noexcept {
  Array taken(std::move(other));  // `other` may be this
  dtype_ = taken.dtype_;
  shape_ = std::move(taken.shape_);
  size_ = std::exchange(taken.size_, 0);
  data_ = std::move(taken.data_);
  return *this;
}

Array::~Array() = default;

std::span<const std::byte> Array::bytes() const noexcept {
  return {data_.get(), static_cast<std::size_t>(size_) * size_of(dtype_)};
}

std::span<std::byte> Array::bytes() noexcept {
  return {data_.get(), static_cast<std::size_t>(size_) * size_of(dtype_)};
}

bool operator==(const Array& a, const Array& b) noexcept {
  if (a.dtype_ != b.dtype_ || a.shape_ != b.shape_) return false;
  return a.size_ == 0 || std::memcmp(a.data_.get(), b.data_.get(), a.bytes().size()) == 0;
}

ArrayView::ArrayView(DType dtype, Shape shape, const void* data, std::vector<Index> strides,
                     std::shared_ptr<const void> owner)
    : dtype_(dtype),
      shape_(std::move(shape)),
      strides_(std::move(strides)),
      data_(static_cast<const std::byte*>(data)),
      owner_(std::move(owner)),
      size_(element_count(shape_)),
      contiguous_(false) {
  // The bytes must be countable too, for whoever copies the view.
  auto dense = c_strides(dtype_, shape_);
  if (strides_.empty()) strides_ = std::move(dense);
  if (strides_.size() != shape_.size()) {
    throw std::invalid_argument(
        fmt::format("view of shape [{}]: {} strides given; allowed: {}, one per axis, or none",
                    fmt::join(shape_, ", "), strides_.size(), shape_.size()));
  }
  if (size_ != 0 && data_ == nullptr) {
    throw std::invalid_argument(
        fmt::format("view of shape [{}] without memory, as of an array that "
                    "was moved from; allowed: a pointer to {} elements",
                    fmt::join(shape_, ", "), size_));
  }
  contiguous_ = is_dense(dtype_, shape_, strides_, size_);
}

ArrayView::ArrayView(const Array& array)
    : ArrayView(array.dtype(), array.shape(), array.bytes().data()) {}

bool operator==(const ArrayView& a, const ArrayView& b) {
  if (a.dtype_ != b.dtype_ || a.shape_ != b.shape_) return false;
  if (a.size_ == 0) return true;
  const std::size_t bytes = static_cast<std::size_t>(a.size_) * size_of(a.dtype_);
  const auto dense = [](const ArrayView& view, Array& copy) {
    if (view.contiguous_) return view.data_;
    copy = Array::uninitialized(view.dtype_, view.shape_);
    copy_region(view, Shape(view.shape_.size(), 0), view.shape_, copy.bytes().data());
    return static_cast<const std::byte*>(copy.bytes().data());
  };
  Array copy_a;
  Array copy_b;
  return std::memcmp(dense(a, copy_a), dense(b, copy_b), bytes) == 0;
}

namespace detail {

void check_value_count(std::size_t values, std::span<const Index> shape) {
  const auto expected = static_cast<std::size_t>(element_count(shape));
  if (values == expected) return;
  throw std::invalid_argument(fmt::format("{} values given for shape [{}]; allowed: {}", values,
                                          fmt::join(shape, ", "), expected));
}

void check_dtype(DType asked, DType held) {
  if (asked == held) return;
  throw std::invalid_argument(fmt::format(
      "the array holds {}, not {}; ask for the type that it holds", name_of(held), name_of(asked)));
}

}  // namespace detail
}  // namespace cairn
