#pragma once
// Memory that somebody else owns and a restore fills.

#include <cairn/codecs/array.h>
#include <cairn/export.h>

#include <cstddef>
#include <memory>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace cairn {

/// A place for elements, strided: as a leaf of a restore's target it is filled where it lies, and
/// as a leaf of a tree that is saved it is a view, so that one tree serves both. A regular value,
/// which refers to the same memory when it is copied. `owner`, when given, is kept for as long as
/// the view lives.
class CAIRN_EXPORT MutableArrayView {
 public:
  /// Strides, in bytes, default to dense C order. Throws std::invalid_argument as ArrayView does,
  /// and on strides that may put two elements into the same bytes: ordered by size, each has to
  /// reach beyond what the axes of smaller ones take.
  MutableArrayView(DType dtype, Shape shape, void* data, std::vector<Index> strides = {},
                   std::shared_ptr<const void> owner = nullptr);
  /// Borrows `array`, which must stay where it is.
  MutableArrayView(Array& array);  // NOLINT(google-explicit-constructor)
  /// Borrows `values`. Throws std::invalid_argument when their number is not that of `shape`.
  template <class T>
  [[nodiscard]] static MutableArrayView of(std::span<T> values, Shape shape);
  template <class T>
  [[nodiscard]] static MutableArrayView of(std::vector<T>& values, Shape shape) {
    return of(std::span<T>(values), std::move(shape));
  }
  template <detail::BorrowedElements R>
  requires(!std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>)
      [[nodiscard]] static MutableArrayView of(R&& values, Shape shape) {
    return of(std::span<std::ranges::range_value_t<R>>(values), std::move(shape));
  }

  /// As those of ArrayView.
  [[nodiscard]] DType dtype() const noexcept { return view_.dtype(); }
  [[nodiscard]] const Shape& shape() const noexcept { return view_.shape(); }
  [[nodiscard]] const std::vector<Index>& strides() const noexcept { return view_.strides(); }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] Index size() const noexcept { return view_.size(); }
  [[nodiscard]] bool contiguous() const noexcept { return view_.contiguous(); }

  /// The same elements, to read.
  [[nodiscard]] const ArrayView& view() const noexcept { return view_; }
  /// Same dtype, shape and element bytes, wherever they lie.
  friend bool operator==(const MutableArrayView& a, const MutableArrayView& b) {
    return a.view_ == b.view_;
  }

 private:
  ArrayView view_;
  std::byte* data_;
};

template <class T>
MutableArrayView MutableArrayView::of(std::span<T> values, Shape shape) {
  detail::check_value_count(values.size(), shape);
  return MutableArrayView(dtype_of<T>(), std::move(shape), values.data());
}

}  // namespace cairn
