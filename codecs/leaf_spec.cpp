#include <cairn/codecs/leaf_spec.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace cairn {

LeafSpec::LeafSpec(std::optional<DType> dtype, std::optional<Shape> shape)
    : dtype_(dtype), shape_(std::move(shape)) {
  if (!shape_) return;
  static_cast<void>(dtype_ ? byte_count(*dtype_, *shape_)
                           : static_cast<std::size_t>(element_count(*shape_)));
}

LeafSpec::LeafSpec(DType dtype, Shape shape)
    : LeafSpec(std::optional(dtype), std::optional(std::move(shape))) {}

std::string to_string(const LeafSpec& spec) {
  if (spec.is_placeholder()) return "placeholder";
  std::string text(spec.dtype() ? name_of(*spec.dtype()) : "any dtype");
  if (!spec.shape()) return text + ", any shape";
  return text + fmt::format("{}[{}]", spec.dtype() ? "" : ", ", fmt::join(*spec.shape(), ", "));
}

}  // namespace cairn
