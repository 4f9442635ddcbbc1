// zarr.json -> ArrayMetadata.

#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/internal/zarr_fill.h>
#include <cairn/codecs/internal/zarr_limits.h>
#include <cairn/codecs/zarr.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <optional>
#include <stdexcept>

namespace cairn::zarr {
namespace {

namespace json = boost::json;
using internal::describe;
using internal::JsonMembers;

constexpr std::string_view kFile = "zarr.json";

// Throws when an object has members beside those known.
void refuse_unknown(const JsonMembers& members, std::initializer_list<std::string_view> known) {
  for (const auto& member : members.object()) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    members.fail(name, describe(member.value()), fmt::format("only {}", fmt::join(known, ", ")));
  }
}

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
  if (format != 3) root.fail("zarr_format", describe(format), "3");
  const json::value& type = root.require("node_type", "\"array\"");
  if (type != "array") root.fail("node_type", describe(type), "\"array\"");
}

Shape decode_extents(const JsonMembers& members, std::string_view name, Index least) {
  const std::string allowed =
      fmt::format("an array of at most {} integers of {} or more", kMaxRank, least);
  const json::value& value = members.require(name, allowed);
  const auto* extents = value.if_array();
  if (extents == nullptr || extents->size() > kMaxRank)
    members.fail(name, describe(value), allowed);
  Shape shape;
  for (const json::value& extent : *extents) {
    const auto* number = extent.if_int64();
    if (number == nullptr || *number < least) members.fail(name, describe(extent), allowed);
    shape.push_back(*number);
  }
  return shape;
}

// The name of an extension object and its configuration, if it has one.
struct Extension {
  std::string_view name;
  std::optional<JsonMembers> configuration;
};

Extension decode_extension(const JsonMembers& members) {
  refuse_unknown(members, {"name", "configuration"});
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
    grid.fail("name", '"' + std::string(extension.name) + '"', "\"regular\"");
  }
  if (!extension.configuration) grid.fail("configuration", "nothing", "an object with chunk_shape");
  refuse_unknown(*extension.configuration, {"chunk_shape"});
  return decode_extents(*extension.configuration, "chunk_shape", 1);
}

char decode_separator(const JsonMembers& root) {
  const JsonMembers encoding = root.members("chunk_key_encoding");
  const Extension extension = decode_extension(encoding);
  if (extension.name != "default") {
    encoding.fail("name", '"' + std::string(extension.name) + '"', "\"default\"");
  }
  if (!extension.configuration) return '/';
  refuse_unknown(*extension.configuration, {"separator"});
  if (!extension.configuration->find("separator")) return '/';
  const std::string_view separator = extension.configuration->string("separator");
  if (separator != "/" && separator != ".") {
    extension.configuration->fail("separator", '"' + std::string(separator) + '"',
                                  "\"/\" or \".\"");
  }
  return separator.front();
}

bool decode_bytes_codec(const JsonMembers& codec, const Extension& extension, DType dtype) {
  constexpr std::string_view kAllowed = "\"little\" or \"big\"";
  if (extension.configuration) {
    refuse_unknown(*extension.configuration, {"endian"});
    if (extension.configuration->find("endian")) {
      const std::string_view endian = extension.configuration->string("endian");
      if (endian == "little" || endian == "big") return endian == "big";
      extension.configuration->fail("endian", '"' + std::string(endian) + '"',
                                    std::string(kAllowed));
    }
  }
  if (has_endian(dtype)) codec.fail("configuration/endian", "nothing", std::string(kAllowed));
  return false;
}

void decode_codecs(const JsonMembers& root, ArrayMetadata& metadata) {
  constexpr std::string_view kChain = "`bytes`, then any number of `crc32c`";
  const json::value& value = root.require("codecs", "an array of codecs");
  const auto* codecs = value.if_array();
  if (codecs == nullptr || codecs->size() > kMaxCodecs || codecs->empty()) {
    root.fail("codecs", describe(value), fmt::format("an array of 1 to {} codecs", kMaxCodecs));
  }
  for (std::size_t i = 0; i < codecs->size(); ++i) {
    const auto codec =
        JsonMembers::of((*codecs)[i], std::string(kFile), fmt::format("codecs[{}]", i));
    const Extension extension = decode_extension(codec);
    if (extension.name == "bytes" && i == 0) {
      metadata.big_endian = decode_bytes_codec(codec, extension, metadata.dtype);
      metadata.codecs.push_back(Codec::bytes);
    } else if (extension.name == "crc32c" && i > 0) {
      if (extension.configuration) refuse_unknown(*extension.configuration, {});
      metadata.codecs.push_back(Codec::crc32c);
    } else {
      codec.fail("name", '"' + std::string(extension.name) + '"', std::string(kChain));
    }
  }
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

void check_sizes(const JsonMembers& root, const ArrayMetadata& m) {
  if (m.chunk_shape.size() != m.shape.size()) {
    root.fail("chunk_grid/configuration/chunk_shape",
              fmt::format("{} extents", m.chunk_shape.size()),
              fmt::format("{}, as shape has", m.shape.size()));
  }
  const auto check_bytes = [&](std::string_view name, const Shape& shape) {
    try {
      static_cast<void>(byte_count(m.dtype, shape));
    } catch (const std::invalid_argument&) {
      root.fail(name, fmt::format("[{}]", fmt::join(shape, ",")), "fewer than 2^63 bytes");
    }
  };
  check_bytes("shape", m.shape);
  check_bytes("chunk_grid/configuration/chunk_shape", m.chunk_shape);
}

}  // namespace

ArrayMetadata decode_metadata(std::string_view text) {
  const json::value value = internal::parse_json(text, kFile);
  const auto root = JsonMembers::of(value, std::string(kFile), "");
  check_constants(root);
  check_members(root);
  ArrayMetadata metadata;
  const std::string_view type = root.string("data_type");
  const auto dtype = dtype_from_name(type);
  if (!dtype) {
    root.fail("data_type", '"' + std::string(type) + '"',
              "bool, int2 to int64, uint8 to uint64, float4_e2m1fn, float8_*, float16, bfloat16, "
              "float32, float64, complex64 or complex128");
  }
  metadata.dtype = *dtype;
  metadata.shape = decode_extents(root, "shape", 0);
  metadata.chunk_shape = decode_chunk_grid(root);
  check_sizes(root, metadata);
  metadata.key_separator = decode_separator(root);
  decode_codecs(root, metadata);
  metadata.fill_value = internal::decode_fill_value(
      root, metadata.dtype, root.require("fill_value", "a value of the array's type"));
  check_optional(root, metadata.shape.size());
  return metadata;
}

}  // namespace cairn::zarr
