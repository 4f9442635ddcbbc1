#pragma once
// What the target of a restore says about a leaf whose elements it does not bring along: Orbax's
// ShapeDtypeStruct and its placeholder.

#include <cairn/codecs/array.h>
#include <cairn/export.h>

#include <optional>
#include <string>

namespace cairn {

/// Tree(Placeholder()): this leaf is not to be restored. It stays a placeholder in the result.
struct Placeholder {};

/// A leaf without elements: they are made by the restore that the target is for, which casts and
/// checks as the spec says. Trees with specs cannot be saved. A regular value.
class CAIRN_EXPORT LeafSpec {
 public:
  LeafSpec() noexcept = default;  ///< dtype and shape as saved
  /// None: as saved. Throws std::invalid_argument on a shape that no array can have.
  explicit LeafSpec(std::optional<DType> dtype, std::optional<Shape> shape = std::nullopt);
  LeafSpec(DType dtype, Shape shape);                     ///< as above
  LeafSpec(Placeholder) noexcept : placeholder_(true) {}  // NOLINT(google-explicit-constructor)

  /// What is asked for; none: as saved.
  [[nodiscard]] std::optional<DType> dtype() const noexcept { return dtype_; }
  /// Extents that are asked for; none: as saved.
  [[nodiscard]] const std::optional<Shape>& shape() const noexcept { return shape_; }
  /// A placeholder has neither dtype nor shape.
  [[nodiscard]] bool is_placeholder() const noexcept { return placeholder_; }
  friend bool operator==(const LeafSpec&, const LeafSpec&) = default;

 private:
  std::optional<DType> dtype_;
  std::optional<Shape> shape_;
  bool placeholder_ = false;
};

/// For people: "bfloat16[2, 3]"; "any dtype", "any shape" for what is as saved; "placeholder".
[[nodiscard]] CAIRN_EXPORT std::string to_string(const LeafSpec& spec);

}  // namespace cairn
