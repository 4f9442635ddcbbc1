#pragma once
// One array, or number, as an item: Orbax's ArraySave and ArrayRestore.

#include <cairn/codecs/tree.h>
#include <cairn/manager/codec.h>

#include <concepts>
#include <optional>
#include <utility>

namespace cairn::args {

/// Stored as Orbax's ArrayCheckpointHandler has it: a plain zarr v2 array. In an item of its own
/// StandardSave of the same array is faster; this is for programs that expect an array item.
struct ArraySave {
  /// An Array, ArrayView, Leaf or number; anything else is refused when the save is planned.
  template <class T>
  requires std::constructible_from<Tree, T&&>
  explicit ArraySave(T&& value) : array(std::forward<T>(value)) {}
  Tree array;
  std::optional<Codec> codec;  ///< none: the manager's
};

/// Comes back as a Tree that is the Array or number: Restored::array(), Restored::tree().
struct ArrayRestore {
  ArrayRestore() = default;
  explicit ArrayRestore(IndexRange r) : range(std::move(r)) {}
  std::optional<IndexRange> range;  ///< in elements; none: all of it
};

}  // namespace cairn::args
