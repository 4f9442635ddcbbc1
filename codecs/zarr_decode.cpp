// zarr.json -> ArrayMetadata, but for its codecs.

#include <cairn/codecs/internal/zarr_chain.h>
#include <cairn/codecs/internal/zarr_fill.h>
#include <cairn/codecs/internal/zarr_text.h>
#include <cairn/codecs/zarr.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <optional>

namespace cairn::zarr {
namespace {

namespace json = boost::json;
using cairn::internal::describe;
using internal::JsonMembers;

constexpr std::string_view kFile = "zarr.json";

bool may_be_ignored(const json::value& value) {
  const auto* object = value.if_object();
  const json::value* must = object ? object->if_contains("must_understand") : nullptr;
  return must != nullptr && must->is_bool() && !must->get_bool();
}

void check_members(const JsonMembers& root) {
  constexpr std::string_view kKnown[] = {
      "attributes", "chunk_grid",           "chunk_key_encoding", "codecs",
      "data_type",  "dimension_names",      "fill_value",         "node_type",
      "shape",      "storage_transformers", "zarr_format"};
  for (const auto& member : root.object()) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown)) continue;
    if (may_be_ignored(member.value())) continue;
    root.fail(name, describe(member.value()),
              "members of zarr v3's core, or an object with \"must_understand\": false");
  }
}

void check_constants(const JsonMembers& root) {
  const json::value& format = root.require("zarr_format", "3");
  if (format != 3) root.unsupported("zarr_format", describe(format), "3");
  const json::value& type = root.require("node_type", "\"array\"");
  if (type != "array") root.fail("node_type", describe(type), "\"array\"");
}

// The name of an extension object and its configuration, if it has one.
struct Extension {
  std::string_view name;
  std::optional<JsonMembers> configuration;
};

Extension decode_extension(const JsonMembers& members) {
  internal::refuse_unknown(members, {"name", "configuration"});
  Extension extension{members.string("name"), std::nullopt};
  if (members.find("configuration")) {
    extension.configuration.emplace(members.members("configuration"));
  }
  return extension;
}

Shape decode_chunk_grid(const JsonMembers& root) {
  const JsonMembers grid = root.members("chunk_grid");
  const Extension extension = decode_extension(grid);
  if (extension.name != "regular") {
    grid.unsupported("name", '"' + std::string(extension.name) + '"', "\"regular\"");
  }
  if (!extension.configuration) grid.fail("configuration", "nothing", "an object with chunk_shape");
  internal::refuse_unknown(*extension.configuration, {"chunk_shape"});
  return internal::decode_extents(*extension.configuration, "chunk_shape", 1);
}

void decode_key_encoding(const JsonMembers& root, ArrayMetadata& metadata) {
  const JsonMembers encoding = root.members("chunk_key_encoding");
  const Extension extension = decode_extension(encoding);
  if (extension.name != "default" && extension.name != "v2") {
    encoding.unsupported("name", '"' + std::string(extension.name) + '"', "\"default\" or \"v2\"");
  }
  metadata.v2_keys = extension.name == "v2";
  metadata.key_separator = metadata.v2_keys ? '.' : '/';
  if (!extension.configuration) return;
  internal::refuse_unknown(*extension.configuration, {"separator"});
  metadata.key_separator =
      internal::decode_separator(*extension.configuration, "separator", metadata.key_separator);
}

// Members that a reader of elements can do without, but that must be what the specification says.
void check_optional(const JsonMembers& root, std::size_t rank) {
  if (const json::value* attributes = root.find("attributes");
      attributes && !attributes->is_object()) {
    root.fail("attributes", describe(*attributes), "an object");
  }
  if (const json::value* names = root.find("dimension_names")) {
    const auto* array = names->if_array();
    const bool fits = array != nullptr && array->size() == rank &&
                      std::all_of(array->begin(), array->end(), [](const json::value& name) {
                        return name.is_string() || name.is_null();
                      });
    if (!fits) {
      root.fail("dimension_names", describe(*names),
                fmt::format("an array of {} strings or nulls", rank));
    }
  }
  if (const json::value* transformers = root.find("storage_transformers")) {
    if (!transformers->is_array() || !transformers->get_array().empty()) {
      root.fail("storage_transformers", describe(*transformers), "an empty array");
    }
  }
}

}  // namespace

ArrayMetadata decode_metadata(std::string_view text) {
  const cairn::internal::JsonDocument document(text, kFile);
  const JsonMembers root(document);
  check_constants(root);
  check_members(root);
  ArrayMetadata metadata;
  const std::string_view type = root.string("data_type");
  const auto dtype = dtype_from_name(type);
  if (!dtype) {
    root.unsupported(
        "data_type", '"' + std::string(type) + '"',
        "bool, int2 to int64, uint8 to uint64, float4_e2m1fn, float8_*, float16, bfloat16, "
        "float32, float64, complex64 or complex128");
  }
  metadata.dtype = *dtype;
  metadata.shape = internal::decode_extents(root, "shape", 0);
  metadata.chunk_shape = decode_chunk_grid(root);
  internal::check_sizes(root, metadata, "chunk_grid/configuration/chunk_shape");
  decode_key_encoding(root, metadata);
  metadata.codecs = internal::decode_codecs(root, "codecs", metadata.dtype, metadata.shape.size());
  if (auto fault =
          internal::find_fault(Format::v3, metadata.codecs, metadata.chunk_shape, "codecs")) {
    root.fail(fault->field, std::move(fault->found), std::move(fault->allowed));
  }
  metadata.fill_value = cairn::internal::decode_fill_value(
      root, metadata.dtype, root.require("fill_value", "a value of the array's type"));
  check_optional(root, metadata.shape.size());
  return metadata;
}

}  // namespace cairn::zarr
