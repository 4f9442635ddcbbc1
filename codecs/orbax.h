#pragma once
// Orbax's metadata files (orbax-checkpoint 0.12). Field names are Orbax's; see codecs/orbax_format.md.

#include <cairn/codecs/array.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::orbax {

inline constexpr std::string_view kStandardHandler =
    "orbax.checkpoint._src.handlers.standard_checkpoint_handler.StandardCheckpointHandler";
inline constexpr std::string_view kJsonHandler =
    "orbax.checkpoint._src.handlers.json_checkpoint_handler.JsonCheckpointHandler";
inline constexpr std::string_view kTemporaryInfix = ".orbax-checkpoint-tmp";
inline constexpr std::string_view kStepMetadataFile = "_CHECKPOINT_METADATA";
inline constexpr std::string_view kRootMetadataFile = "_ROOT_METADATA";
inline constexpr std::string_view kTreeMetadataFile = "_METADATA";
inline constexpr std::string_view kCommitMarkerFile = "commit_success.txt";

/// ROOT/<step>/_CHECKPOINT_METADATA.
struct StepMetadata {
  std::map<std::string, std::string> item_handlers;  ///< item -> Orbax's handler type string
  boost::json::object metrics;
  boost::json::object performance_metrics;
  std::optional<std::int64_t> init_timestamp_ns;
  std::optional<std::int64_t> commit_timestamp_ns;
  boost::json::object custom_metadata;
};
[[nodiscard]] CAIRN_EXPORT std::string encode(const StepMetadata& metadata);
/// Missing members take their defaults; a member of the wrong type is a FormatError.
[[nodiscard]] CAIRN_EXPORT StepMetadata decode_step_metadata(std::string_view json);

/// ROOT/_ROOT_METADATA; a legacy file (plain user keys) decodes as custom metadata.
struct RootMetadata {
  boost::json::object internal_metadata;
  boost::json::object custom_metadata;
};
[[nodiscard]] CAIRN_EXPORT std::string encode(const RootMetadata& metadata);
[[nodiscard]] CAIRN_EXPORT RootMetadata decode_root_metadata(std::string_view json);

/// What a leaf is, as value_metadata.value_type has it.
enum class ValueType : std::uint8_t {
  jax_array, np_ndarray, scalar, string, none, empty_dict, empty_list, empty_tuple, empty_named_tuple
};
struct TreeEntry {
  KeyPath path;
  ValueType type = ValueType::np_ndarray;
  std::optional<Shape> write_shape;
  friend bool operator==(const TreeEntry&, const TreeEntry&) = default;
};
/// <item>/_METADATA, entries in the tree's order.
struct TreeMetadata {
  std::vector<TreeEntry> entries;
  std::optional<bool> use_ocdbt;  ///< none: whether manifest.ocdbt is there
  bool use_zarr3 = false;
  bool store_array_data_equal_to_fill_value = false;
  boost::json::value custom_metadata;  ///< null or an object
};
/// Streams the text; linear in the number of entries.
[[nodiscard]] CAIRN_EXPORT std::string encode(const TreeMetadata& metadata);
/// Duplicate paths, unknown key or value types and gaps are FormatErrors naming the entry.
[[nodiscard]] CAIRN_EXPORT TreeMetadata decode_tree_metadata(std::string_view json);

/// A step's number from a directory name by Orbax's rules (unpadded, no prefix in this release); none
/// when it is not one.
[[nodiscard]] CAIRN_EXPORT std::optional<std::int64_t> step_from_name(std::string_view name) noexcept;
/// True for the names of Orbax's and our temporary directories.
[[nodiscard]] CAIRN_EXPORT bool is_temporary_name(std::string_view name) noexcept;

/// JSON text with sorted order kept, floats as Python prints them, NaN and Infinity as Python's json does
/// when `allow_non_finite`.
[[nodiscard]] CAIRN_EXPORT boost::json::value parse_json(std::string_view text, std::string_view structure);

}  // namespace cairn::orbax
