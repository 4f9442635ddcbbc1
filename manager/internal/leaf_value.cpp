#include <cairn/manager/internal/leaf_value.h>

namespace cairn::internal {
namespace {

template <class Stored, class Number>
Tree number_of(const Array& array) {
  return Tree(static_cast<Number>(array.values<Stored>()[0]));
}

/// A number of any width is a Python number to Orbax; what no number of ours holds exactly stays an
/// array of rank 0.
Tree scalar_of(Array array) {
  if (!array.shape().empty()) return Tree(std::move(array));
  switch (array.dtype()) {
    case DType::boolean:
      return Tree(std::to_integer<int>(array.bytes()[0]) != 0);
    case DType::int8:
      return number_of<std::int8_t, std::int64_t>(array);
    case DType::int16:
      return number_of<std::int16_t, std::int64_t>(array);
    case DType::int32:
      return number_of<std::int32_t, std::int64_t>(array);
    case DType::int64:
      return number_of<std::int64_t, std::int64_t>(array);
    case DType::uint8:
      return number_of<std::uint8_t, std::int64_t>(array);
    case DType::uint16:
      return number_of<std::uint16_t, std::int64_t>(array);
    case DType::uint32:
      return number_of<std::uint32_t, std::int64_t>(array);
    case DType::uint64:
      return number_of<std::uint64_t, std::uint64_t>(array);
    case DType::float32:
      return number_of<float, double>(array);
    case DType::float64:
      return number_of<double, double>(array);
    default:
      return Tree(std::move(array));
  }
}

}  // namespace

Tree leaf_value(const StoredLeaf& leaf, Tree array) {
  using orbax::ValueType;
  switch (leaf.type) {
    case ValueType::none:
      return Tree(Null());
    case ValueType::empty_dict:
      return Tree(Dict());
    case ValueType::empty_list:
      return Tree(List());
    case ValueType::empty_tuple:
    case ValueType::empty_named_tuple:
      return Tree(Tuple());
    case ValueType::string:
      return Tree(leaf.text);
    case ValueType::jax_array:
    case ValueType::np_ndarray:
      return array;
    case ValueType::foreign:  // there is one, and it cannot be read
      return Tree(Placeholder());
    case ValueType::scalar:
      break;
  }
  return scalar_of(std::move(array.as<Array>()));
}

}  // namespace cairn::internal
