#pragma once
// The general leaf: a global array of which this process has some ranges, each with a source.

#include <cairn/codecs/array.h>
#include <cairn/export.h>

#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

namespace cairn {

/// A box of elements: [origin, origin + shape).
struct IndexRange {
  // No aggregate: g++ 12 destroys one that is made inside a co_await expression twice.
  IndexRange() = default;
  IndexRange(Shape first, Shape extents) : origin(std::move(first)), shape(std::move(extents)) {}
  Shape origin;
  Shape shape;
  friend bool operator==(const IndexRange&, const IndexRange&) = default;
};

/// Elements that are made or fetched when a save asks for them: device memory, lazily produced
/// data.
class CAIRN_EXPORT Source {
 public:
  virtual ~Source() = default;
  /// Fills `to` with the elements of `range` (indices within the part, dense C order) and then
  /// calls `done` once, from any thread, with nullptr or what went wrong. Must not block; `to`
  /// stays valid until `done`. Reads of different ranges may be under way at once.
  virtual void read(const IndexRange& range, std::span<std::byte> to,
                    std::function<void(std::exception_ptr)> done) = 0;
  /// The boxes that cost least to read, from the part's first element on: chunks, say, which are
  /// read whole for each of their elements. Whoever may choose reads one or several of them at a
  /// time. Empty: any box is as good. Called from any thread.
  [[nodiscard]] virtual Shape natural_box() const { return {}; }
};

/// One part of a leaf: where it lies in the global array, and where its elements come from.
struct LeafPart {
  LeafPart(IndexRange r, std::variant<ArrayView, std::shared_ptr<Source>> s)
      : range(std::move(r)), source(std::move(s)) {}
  IndexRange range;
  std::variant<ArrayView, std::shared_ptr<Source>> source;
};

/// {dtype, global shape, parts}. Parts do not overlap; those of all processes together cover the
/// array.
class CAIRN_EXPORT Leaf {
 public:
  /// Throws std::invalid_argument when a part's dtype or shape does not fit, or parts overlap.
  Leaf(DType dtype, Shape shape, std::vector<LeafPart> parts);
  /// The shorthand: one part that covers all.
  Leaf(DType dtype, Shape shape, std::shared_ptr<Source> source);

  /// Of the whole array: what its elements are, its extents, and the parts that make it up.
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const std::vector<LeafPart>& parts() const noexcept { return parts_; }

 private:
  DType dtype_;
  Shape shape_;
  std::vector<LeafPart> parts_;
};

}  // namespace cairn
