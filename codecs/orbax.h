#pragma once
// Orbax's metadata files (orbax-checkpoint 0.12). Field names are Orbax's; source:
// orbax/checkpoint/_src/metadata (step_metadata_serialization.py, tree.py) and
// _src/path/step.py.

#include <cairn/codecs/array.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>

#include <boost/json/object.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::orbax {

/// Orbax's handlers, as a step's metadata names them.
inline constexpr std::string_view kStandardHandler =
    "orbax.checkpoint._src.handlers.standard_checkpoint_handler.StandardCheckpointHandler";
inline constexpr std::string_view kPyTreeHandler =
    "orbax.checkpoint._src.handlers.pytree_checkpoint_handler.PyTreeCheckpointHandler";
inline constexpr std::string_view kJsonHandler =
    "orbax.checkpoint._src.handlers.json_checkpoint_handler.JsonCheckpointHandler";
inline constexpr std::string_view kArrayHandler =
    "orbax.checkpoint._src.handlers.array_checkpoint_handler.ArrayCheckpointHandler";
inline constexpr std::string_view kProtoHandler =
    "orbax.checkpoint._src.handlers.proto_checkpoint_handler.ProtoCheckpointHandler";
inline constexpr std::string_view kJaxRandomKeyHandler =
    "orbax.checkpoint._src.handlers.random_key_checkpoint_handler.JaxRandomKeyCheckpointHandler";
inline constexpr std::string_view kNumpyRandomKeyHandler =
    "orbax.checkpoint._src.handlers.random_key_checkpoint_handler.NumpyRandomKeyCheckpointHandler";

/// The key of the one array of an array item.
inline constexpr std::string_view kArrayItemKey = "checkpoint";

/// Directories of a random key's item: what it is, and, with kKeyMetadataSuffix, a JSON item.
inline constexpr std::string_view kJaxRandomKeyFolder = "jax_random_key";
inline constexpr std::string_view kNumpyRandomKeyFolder = "np_random_key";
inline constexpr std::string_view kKeyMetadataSuffix = "_metadata";

/// Files of an item, of a step and of the root, and what a temporary directory's name has.
inline constexpr std::string_view kProtoFile = "proto.pbtxt";
inline constexpr std::string_view kTemporaryInfix = ".orbax-checkpoint-tmp";
inline constexpr std::string_view kStepMetadataFile = "_CHECKPOINT_METADATA";
inline constexpr std::string_view kRootMetadataFile = "_ROOT_METADATA";
inline constexpr std::string_view kTreeMetadataFile = "_METADATA";
inline constexpr std::string_view kStringsFile = "_strings.json";
inline constexpr std::string_view kCommitMarkerFile = "commit_success.txt";

/// ROOT/N/_CHECKPOINT_METADATA.
struct StepMetadata {
  /// Item -> Orbax's handler type string. A directory that is one item itself (Orbax's
  /// Checkpointer) has one entry, under the empty name; the file then has the string alone.
  std::map<std::string, std::string> item_handlers;
  boost::json::object metrics;
  boost::json::object performance_metrics;
  std::optional<std::int64_t> init_timestamp_ns;
  std::optional<std::int64_t> commit_timestamp_ns;
  boost::json::object custom_metadata;
};
/// Throws std::invalid_argument on text that is not UTF-8 and on a nesting above 256 in the file,
/// in which the members are one deeper.
[[nodiscard]] CAIRN_EXPORT std::string encode(const StepMetadata& metadata);
/// Missing and null members take their defaults; a member of the wrong type is a FormatError.
/// Unknown members become custom metadata where the file has none of its own, as in Orbax, and are
/// ignored otherwise.
[[nodiscard]] CAIRN_EXPORT StepMetadata decode_step_metadata(std::string_view json);

/// ROOT/_ROOT_METADATA; a legacy file (plain user keys) decodes as custom metadata. Errors as
/// above.
struct RootMetadata {
  boost::json::object internal_metadata;
  boost::json::object custom_metadata;
};
/// Errors as encode(StepMetadata)'s.
[[nodiscard]] CAIRN_EXPORT std::string encode(const RootMetadata& metadata);
/// Errors as decode_step_metadata()'s.
[[nodiscard]] CAIRN_EXPORT RootMetadata decode_root_metadata(std::string_view json);

/// What a leaf is, as value_metadata.value_type has it.
enum class ValueType : std::uint8_t {
  jax_array,
  np_ndarray,
  scalar,   ///< a number: stored as an array of rank 0
  string,   ///< stored in _strings.json
  foreign,  ///< registered with Orbax by a program, which alone knows what its data is
  none,     ///< null; it and the empty containers have no data
  empty_dict,
  empty_list,
  empty_tuple,
  empty_named_tuple
};
/// What Orbax would call a node that flatten() gave. Arrays, views and leaves are np_ndarray, which
/// needs no sharding to be restored. Throws std::invalid_argument on a container that is not empty
/// and on a LeafSpec.
[[nodiscard]] CAIRN_EXPORT ValueType value_type_of(const Tree& node);
/// True for null and the empty containers.
[[nodiscard]] CAIRN_EXPORT bool is_empty(ValueType type) noexcept;

/// A leaf in a tree's metadata.
struct TreeEntry {
  KeyPath path;
  ValueType type = ValueType::np_ndarray;
  std::optional<Shape> write_shape;
  std::string foreign_type;  ///< what the file calls a foreign one
  friend bool operator==(const TreeEntry&, const TreeEntry&) = default;
};
/// ITEM/_METADATA, entries in the tree's order.
struct TreeMetadata {
  std::vector<TreeEntry> entries;
  std::optional<bool> use_ocdbt;  ///< none: whether manifest.ocdbt is there
  bool use_zarr3 = false;
  bool store_array_data_equal_to_fill_value = false;
  boost::json::value custom_metadata;  ///< null or an object
};
/// Streams the text; linear in the number of entries. Throws std::invalid_argument on names that
/// are not UTF-8 and on custom metadata that is neither null nor an object.
[[nodiscard]] CAIRN_EXPORT std::string encode(const TreeMetadata& metadata);
/// Duplicate paths, paths through a leaf, unknown key types and sequences with gaps are
/// FormatErrors naming the entry; unknown value types are foreign. Members that Orbax may add
/// (value_metadata_tree is one) are ignored.
[[nodiscard]] CAIRN_EXPORT TreeMetadata decode_tree_metadata(std::string_view json);

/// ITEM/_strings.json: an object of the string leaves by parameter name ("a.b"). A name with '/'
/// in it leads into nested objects, and "~0" and "~1" stand for '~' and '/' (RFC 6901): these two
/// follow the same rule.
/// Adds a leaf. Throws std::invalid_argument on a name or text that is not UTF-8, a '~' in the name
/// that stands for nothing, and a name that is another's, or leads through another string.
CAIRN_EXPORT void put_string(boost::json::object& strings, std::string_view name,
                             std::string_view text);
/// The leaf of that name in the file's value; null where there is none. Throws FormatError where
/// something else than a string has the name, with its offset in `text`, the file's, if given.
[[nodiscard]] CAIRN_EXPORT const boost::json::string* find_string(const boost::json::value& strings,
                                                                  std::string_view name,
                                                                  std::string_view text = {});
/// The file's bytes, as TensorStore writes them for Orbax: UTF-8, no spaces, members sorted.
[[nodiscard]] CAIRN_EXPORT std::string encode_strings(const boost::json::object& strings);

/// A step's number from a directory name by Orbax's rules (unpadded, no prefix in this release);
/// none when it is not one.
[[nodiscard]] CAIRN_EXPORT std::optional<std::int64_t> step_from_name(
    std::string_view name) noexcept;
/// True for the names of Orbax's and our temporary directories.
[[nodiscard]] CAIRN_EXPORT bool is_temporary_name(std::string_view name) noexcept;

/// The value of JSON text from `structure`, which errors name. Members keep their order; integers
/// stay int64, or uint64 above that. NaN, Infinity and -Infinity, which Python writes as bare
/// words, are read as doubles. Throws FormatError with line and byte offset on text that is not
/// JSON, is above 1 GiB or nested more than 256 deep, and on a member given twice.
[[nodiscard]] CAIRN_EXPORT boost::json::value parse_json(std::string_view text,
                                                         std::string_view structure);
/// The text that Python's json.dumps gives, in ASCII; parse_json() and Python read it back, doubles
/// bit for bit, NaN and infinities as bare words. Throws std::invalid_argument on strings that are
/// not UTF-8 or a nesting above 256.
[[nodiscard]] CAIRN_EXPORT std::string to_json(const boost::json::value& value);

}  // namespace cairn::orbax
