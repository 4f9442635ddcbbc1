#include <cairn/manager/internal/codec_text.h>
#include <cairn/manager/internal/leaf_info.h>

namespace cairn::internal {
namespace {

std::string kind_name(orbax::ValueType type) {
  using orbax::ValueType;
  switch (type) {
    case ValueType::jax_array:
    case ValueType::np_ndarray:
      return "array";
    case ValueType::scalar:
      return "scalar";
    case ValueType::string:
      return "string";
    case ValueType::foreign:
      return "foreign";
    case ValueType::none:
      return "null";
    case ValueType::empty_dict:
      return "empty dict";
    case ValueType::empty_list:
      return "empty list";
    case ValueType::empty_tuple:
    case ValueType::empty_named_tuple:
      return "empty tuple";
  }
  return "unknown";
}

}  // namespace

LeafInfo describe_leaf(const StoredLeaf& leaf, std::uint64_t stored_bytes) {
  LeafInfo info;
  info.key_path = to_string(leaf.path);
  info.kind = kind_name(leaf.type);
  if (!leaf.array) return info;
  const zarr::ArrayMetadata& metadata = leaf.array->metadata;
  info.dtype = metadata.dtype;
  info.shape = metadata.shape;
  info.chunk_shape = metadata.chunk_shape;
  info.zarr_format = metadata.format == zarr::Format::v3 ? 3 : 2;
  info.codecs = codec_texts(metadata.codecs);
  info.chunks = leaf.array->chunks;
  info.bytes = byte_count(metadata.dtype, metadata.shape);
  info.stored_bytes = stored_bytes;
  return info;
}

}  // namespace cairn::internal
