#pragma once
// What the elements of an array are like, gathered piece by piece.

#include <cairn/codecs/dtype.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn {

/// Complex elements count by their magnitude, bools as 0 and 1. Extremes are exact for every dtype
/// (a long double holds all 64-bit integers); the mean is that of a sum in long double.
struct CAIRN_EXPORT Statistics {
  std::uint64_t count = 0;     ///< elements
  std::uint64_t nans = 0;      ///< of which are no number
  std::uint64_t infinite = 0;  ///< of which are infinite, either sign
  /// Of the elements that are numbers, infinities included. 0 where there are none.
  long double min = 0;
  long double max = 0;
  long double sum = 0;  ///< of the finite elements

  /// Elements that are neither NaN nor infinite.
  [[nodiscard]] std::uint64_t finite() const noexcept { return count - nans - infinite; }
  /// Of the finite elements; 0 where there are none.
  [[nodiscard]] long double mean() const noexcept;
  /// Adds dense elements, little-endian. Throws std::invalid_argument unless `elements` holds whole
  /// ones.
  void add(DType dtype, std::span<const std::byte> elements);
  /// Adds `copies` times one element; an empty one is zero.
  void add_copies(DType dtype, std::span<const std::byte> element, std::uint64_t copies);
  /// Adds what another has gathered. Order does not matter, but for the last digits of the sum.
  void merge(const Statistics& other);
  friend bool operator==(const Statistics&, const Statistics&) = default;
};

}  // namespace cairn
