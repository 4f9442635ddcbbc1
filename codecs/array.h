#pragma once
// Arrays: `Array` owns its elements, `ArrayView` borrows them, strided. Shapes are in elements,
// outermost dimension first; strides are in bytes and may be negative or zero.

#include <cairn/codecs/dtype.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace cairn {

/// A number of elements, or the place of one.
using Index = std::int64_t;
using Shape = std::vector<Index>;

namespace detail {
/// Elements side by side: a std::span, std::vector, std::array or T[n], and their like.
template <class R>
concept ElementRange = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
    Element<std::ranges::range_value_t<R>>;
/// The same in memory that outlives the range.
template <class R>
concept BorrowedElements = ElementRange<R> && std::ranges::borrowed_range<R>;
}  // namespace detail

inline constexpr std::size_t kMaxRank = 32;  ///< numpy's and TensorStore's limit

/// Elements of `shape`; throws std::invalid_argument for a negative extent, a rank above kMaxRank
/// or more than 2^63-1 elements.
[[nodiscard]] CAIRN_EXPORT Index element_count(std::span<const Index> shape);
/// Bytes of `shape` elements of `dtype`, checked likewise.
[[nodiscard]] CAIRN_EXPORT std::size_t byte_count(DType dtype, std::span<const Index> shape);
/// Strides in bytes of a dense C-order array, innermost last. An array without elements has no
/// layout to describe: its strides are all one element.
[[nodiscard]] CAIRN_EXPORT std::vector<Index> c_strides(DType dtype, std::span<const Index> shape);

/// Dense C-order elements, owned. A regular value: copying copies the elements. The memory is
/// aligned to 64 bytes, to 4096 from 64 KiB on. A moved-from array holds nothing: assign to it or
/// destroy it.
class CAIRN_EXPORT Array {
 public:
  Array() = default;  ///< rank 1, no elements, float32
  /// Zeroed elements.
  Array(DType dtype, Shape shape);
  /// Elements with undefined values, for a caller that writes them all.
  [[nodiscard]] static Array uninitialized(DType dtype, Shape shape);
  /// A copy of `values`; throws std::invalid_argument when their number is not that of `shape`.
  template <class T>
  [[nodiscard]] static Array from(std::span<const T> values, Shape shape);
  template <class T>
  [[nodiscard]] static Array from(const std::vector<T>& values, Shape shape) {
    return from(std::span<const T>(values), std::move(shape));
  }
  template <detail::ElementRange R>
  [[nodiscard]] static Array from(const R& values, Shape shape) {
    return from(std::span<const std::ranges::range_value_t<R>>(values), std::move(shape));
  }
  /// A rank-0 array.
  template <class T>
  [[nodiscard]] static Array scalar(T value);
  Array(const Array& other);
  Array& operator=(const Array& other);
  Array(Array&& other) noexcept;
  Array& operator=(Array&& other) noexcept;
  ~Array();

  /// Of the elements.
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  /// Extents, one for each dimension.
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] Index size() const noexcept { return size_; }  ///< elements
  /// All elements, in C order. They are the array's: of a temporary one they are gone at once, so
  /// name the array first. The same holds for values().
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept;
  [[nodiscard]] std::span<std::byte> bytes() noexcept;
  /// The elements; throws std::invalid_argument when dtype_of<T>() is not dtype().
  template <class T>
  [[nodiscard]] std::span<const T> values() const;
  template <class T>
  [[nodiscard]] std::span<T> values();
  /// Same dtype, shape and bytes (so NaN equals the same NaN).
  friend CAIRN_EXPORT bool operator==(const Array& a, const Array& b) noexcept;

 private:
  struct Uninitialized {};
  Array(Uninitialized, DType dtype, Shape shape);
  DType dtype_ = DType::float32;
  Shape shape_{0};
  Index size_ = 0;
  struct CAIRN_EXPORT Free {
    void operator()(std::byte* p) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> data_;
};

/// Elements that somebody else owns. `owner`, when given, is kept for as long as the view lives.
class CAIRN_EXPORT ArrayView {
 public:
  /// Strides default to dense C order. Throws std::invalid_argument on a shape that element_count()
  /// refuses, or strides of another rank.
  ArrayView(DType dtype, Shape shape, const void* data, std::vector<Index> strides = {},
            std::shared_ptr<const void> owner = nullptr);
  /// Borrows `array`, which must stay where it is.
  ArrayView(const Array& array);      // NOLINT(google-explicit-constructor)
  ArrayView(const Array&&) = delete;  ///< a temporary would be gone before its view
  /// Borrows `values` (lvalues stay the caller's). Throws std::invalid_argument when their number
  /// is not that of `shape`.
  template <class T>
  [[nodiscard]] static ArrayView of(std::span<const T> values, Shape shape);
  template <class T>
  [[nodiscard]] static ArrayView of(const std::vector<T>& values, Shape shape) {
    return of(std::span<const T>(values), std::move(shape));
  }
  template <class T>
  static ArrayView of(const std::vector<T>&& values, Shape shape) = delete;
  template <detail::BorrowedElements R>
  [[nodiscard]] static ArrayView of(R&& values, Shape shape) {
    return of(std::span<const std::ranges::range_value_t<R>>(values), std::move(shape));
  }

  /// Of the elements.
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  /// Extents, one for each dimension.
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const std::vector<Index>& strides() const noexcept { return strides_; }  ///< bytes
  /// The first element.
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  /// How many elements there are.
  [[nodiscard]] Index size() const noexcept { return size_; }
  /// True when the elements lie densely in C order.
  [[nodiscard]] bool contiguous() const noexcept { return contiguous_; }
  /// Same dtype, shape and element bytes, wherever they lie.
  friend CAIRN_EXPORT bool operator==(const ArrayView& a, const ArrayView& b);

 private:
  DType dtype_;
  Shape shape_;
  std::vector<Index> strides_;
  const std::byte* data_;
  std::shared_ptr<const void> owner_;
  Index size_;
  bool contiguous_;
};

/// Copies the elements [origin, origin + shape) of `from` to dense C order at `to`, which has room
/// for them. Throws std::invalid_argument when the box does not lie within the array.
CAIRN_EXPORT void copy_region(const ArrayView& from, std::span<const Index> origin,
                              std::span<const Index> shape, std::byte* to);
/// Copies dense C-order elements of `shape` from `from` to the strided place at `to`: `to_strides`
/// in bytes, one per axis. Throws std::invalid_argument on strides of another rank.
CAIRN_EXPORT void scatter_region(const std::byte* from, DType dtype, std::span<const Index> shape,
                                 std::byte* to, std::span<const Index> to_strides);

namespace detail {

/// Throws the std::invalid_argument that the templates below promise.
CAIRN_EXPORT void check_value_count(std::size_t values, std::span<const Index> shape);
CAIRN_EXPORT void check_dtype(DType asked, DType held);

}  // namespace detail

template <class T>
Array Array::from(std::span<const T> values, Shape shape) {
  detail::check_value_count(values.size(), shape);
  Array array = uninitialized(dtype_of<T>(), std::move(shape));
  if (!values.empty()) std::memcpy(array.data_.get(), values.data(), values.size_bytes());
  return array;
}

template <class T>
Array Array::scalar(T value) {
  return from(std::span<const T>(&value, 1), Shape{});
}

template <class T>
std::span<const T> Array::values() const {
  detail::check_dtype(dtype_of<T>(), dtype_);
  return {reinterpret_cast<const T*>(data_.get()), static_cast<std::size_t>(size_)};
}

template <class T>
std::span<T> Array::values() {
  detail::check_dtype(dtype_of<T>(), dtype_);
  return {reinterpret_cast<T*>(data_.get()), static_cast<std::size_t>(size_)};
}

template <class T>
ArrayView ArrayView::of(std::span<const T> values, Shape shape) {
  detail::check_value_count(values.size(), shape);
  return ArrayView(dtype_of<T>(), std::move(shape), values.data());
}

}  // namespace cairn
