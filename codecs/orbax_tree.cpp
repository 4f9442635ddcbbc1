// <item>/_METADATA. Source: orbax-checkpoint 0.12.4, metadata/tree.py and
// metadata/value_metadata_entry.py.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/internal/path_trie.h>
#include <cairn/codecs/internal/python_repr.h>
#include <cairn/codecs/orbax.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <charconv>
#include <stdexcept>

namespace cairn::orbax {
namespace {

namespace json = boost::json;
using internal::append_json;
using internal::append_json_string;
using internal::append_python_repr;
using internal::describe;
using internal::JsonMembers;

struct TypeName {
  ValueType type;
  std::string_view name;
};
constexpr TypeName kTypeNames[] = {
    {ValueType::jax_array, "jax.Array"},
    {ValueType::np_ndarray, "np.ndarray"},
    {ValueType::scalar, "scalar"},
    {ValueType::string, "string"},
    {ValueType::foreign, ""},  // TreeEntry::foreign_type
    {ValueType::none, "None"},
    {ValueType::empty_dict, "Dict"},
    {ValueType::empty_list, "List"},
    {ValueType::empty_tuple, "Tuple"},
    {ValueType::empty_named_tuple, "NamedTuple"},
};
// About what one entry of a common model takes, to reserve the text once.
constexpr std::size_t kBytesPerEntry = 320;

std::string_view name_of_type(const TreeEntry& entry) {
  if (entry.type == ValueType::foreign) return entry.foreign_type;
  return kTypeNames[static_cast<std::size_t>(entry.type)].name;
}

// Python's repr of the tuple of names: one element keeps its comma.
void append_tuple(std::string& out, const KeyPath& path) {
  out += '(';
  for (const Key& key : path) {
    if (&key != path.data()) out += ", ";
    append_python_repr(out, key.name);
  }
  out += path.size() == 1 ? ",)" : ")";
}

void append_entry(std::string& out, const TreeEntry& entry, std::string& scratch) {
  scratch.clear();
  append_tuple(scratch, entry.path);
  append_json_string(out, scratch);
  out += ": {\"key_metadata\": [";
  for (const Key& key : entry.path) {
    if (&key != entry.path.data()) out += ", ";
    out += "{\"key\": ";
    append_json_string(out, key.name);
    out += key.kind == Key::Kind::sequence ? ", \"key_type\": 1}" : ", \"key_type\": 2}";
  }
  out += "], \"value_metadata\": {\"value_type\": ";
  append_json_string(out, name_of_type(entry));
  out += is_empty(entry.type) ? ", \"skip_deserialize\": true" : ", \"skip_deserialize\": false";
  if (entry.write_shape) {
    fmt::format_to(std::back_inserter(out), ", \"write_shape\": [{}]",
                   fmt::join(*entry.write_shape, ", "));
  }
  out += "}}";
}

Key decode_key(const JsonMembers& entry, const json::value& value, std::size_t number) {
  const std::string where = "key_metadata[" + std::to_string(number) + "]";
  const auto* object = value.if_object();
  if (object == nullptr) entry.fail(where, describe(value), "an object with key and key_type");
  const json::value* name = object->if_contains("key");
  if (name == nullptr || !name->is_string()) {
    entry.fail(where + "/key", name ? describe(*name) : "nothing", "a string");
  }
  const json::value* type = object->if_contains("key_type");
  if (type == nullptr || !type->is_int64() || type->get_int64() < 1 || type->get_int64() > 2) {
    entry.fail(where + "/key_type", type ? describe(*type) : "nothing", "1 (sequence) or 2 (dict)");
  }
  const auto& text = name->get_string();
  return Key(std::string(text.data(), text.size()), static_cast<Key::Kind>(type->get_int64()));
}

KeyPath decode_path(const JsonMembers& entry) {
  const json::value& keys = entry.require("key_metadata", "an array of keys");
  if (!keys.is_array()) entry.fail("key_metadata", describe(keys), "an array of keys");
  KeyPath path;
  path.reserve(keys.get_array().size());
  for (const json::value& key : keys.get_array()) {
    path.push_back(decode_key(entry, key, path.size()));
  }
  return path;
}

std::optional<Shape> decode_write_shape(const JsonMembers& members) {
  constexpr std::string_view kName = "write_shape";
  const json::value* value = members.find(kName);
  if (value == nullptr || value->is_null()) return std::nullopt;
  const auto* extents = value->if_array();
  if (extents == nullptr) members.fail(kName, describe(*value), "an array of extents");
  Shape shape;
  for (const json::value& extent : *extents) {
    if (!extent.is_int64() || extent.get_int64() < 0) {
      members.fail(fmt::format("{}[{}]", kName, shape.size()), describe(extent), "0 or more");
    }
    shape.push_back(extent.get_int64());
  }
  return shape;
}

TreeEntry decode_entry(const JsonMembers& entry) {
  TreeEntry result;
  result.path = decode_path(entry);
  const JsonMembers meta = entry.members("value_metadata");
  const std::string_view type = meta.string("value_type");
  const auto* known = std::find_if(std::begin(kTypeNames), std::end(kTypeNames),
                                   [&](const TypeName& t) { return t.name == type; });
  // Programs may register types of their own with Orbax: leaves that nobody else can read, among
  // others that anybody can.
  result.type = known == std::end(kTypeNames) ? ValueType::foreign : known->type;
  const bool foreign = result.type == ValueType::foreign;
  if (foreign) result.foreign_type = type;
  if (meta.boolean_or("skip_deserialize", false) && !is_empty(result.type) && !foreign) {
    meta.fail("skip_deserialize", "true for a " + std::string(type), "false where there is data");
  }
  result.write_shape = decode_write_shape(meta);
  return result;
}

// `tree` is what the entries are from, in this order.
void check_tree(const std::vector<TreeEntry>& entries, const JsonMembers& tree) {
  internal::PathTrie trie{std::string(kTreeMetadataFile)};
  std::size_t i = 0;
  try {
    for (; i < entries.size(); ++i) trie.add(entries[i].path, i);
    trie.check_sequences();
  } catch (const FormatError& error) {
    // A gap is in no entry.
    const json::value& place = i < entries.size() ? tree.object().begin()[i].value() : tree.value();
    throw error.at(tree.document().place(place));
  }
}

}  // namespace

bool is_empty(ValueType type) noexcept {
  return type >= ValueType::none;
}

ValueType value_type_of(const Tree& node) {
  const auto empty = [&](std::size_t size, ValueType type) {
    if (size == 0) return type;
    throw std::invalid_argument("a " + std::string(node.kind()) + " of " + std::to_string(size) +
                                " is no leaf; flatten the tree first");
  };
  if (node.is<Null>()) return ValueType::none;
  if (node.is<std::string>()) return ValueType::string;
  if (node.is<Array>() || node.is<ArrayView>() || node.is<MutableArrayView>() || node.is<Leaf>())
    return ValueType::np_ndarray;
  if (node.is<LeafSpec>()) {
    throw std::invalid_argument("a leaf spec (" + to_string(node.as<LeafSpec>()) +
                                ") has no elements; it belongs in the target of a restore");
  }
  if (node.is<Dict>()) return empty(node.as<Dict>().size(), ValueType::empty_dict);
  if (node.is<List>()) return empty(node.as<List>().size(), ValueType::empty_list);
  if (node.is<Tuple>()) return empty(node.as<Tuple>().size(), ValueType::empty_tuple);
  return ValueType::scalar;
}

std::string encode(const TreeMetadata& metadata) {
  if (!metadata.custom_metadata.is_null() && !metadata.custom_metadata.is_object()) {
    throw std::invalid_argument("custom_metadata of a tree is " +
                                describe(metadata.custom_metadata) +
                                "; allowed: an object or null");
  }
  const auto boolean = [](bool value) { return value ? "true" : "false"; };
  std::string out;
  out.reserve(metadata.entries.size() * kBytesPerEntry);
  out += "{\"tree_metadata\": {";
  std::string scratch;
  for (const TreeEntry& entry : metadata.entries) {
    if (&entry != metadata.entries.data()) out += ", ";
    append_entry(out, entry, scratch);
  }
  out += "}, \"use_ocdbt\": ";
  out += metadata.use_ocdbt ? boolean(*metadata.use_ocdbt) : "null";
  out += ", \"use_zarr3\": ";
  out += boolean(metadata.use_zarr3);
  out += ", \"store_array_data_equal_to_fill_value\": ";
  out += boolean(metadata.store_array_data_equal_to_fill_value);
  out += ", \"custom_metadata\": ";
  append_json(out, metadata.custom_metadata, 1);
  out += '}';
  return out;
}

TreeMetadata decode_tree_metadata(std::string_view text) {
  // Everything parsed dies together at the end: no need to free a million small objects one by one.
  json::monotonic_resource memory;
  const internal::JsonDocument document(text, kTreeMetadataFile, &memory);
  const JsonMembers members(document);
  TreeMetadata metadata;
  const JsonMembers tree = members.members("tree_metadata");
  metadata.entries.reserve(tree.object().size());
  for (const auto& entry : tree.object()) {
    const std::string_view name(entry.key().data(), entry.key().size());
    metadata.entries.push_back(decode_entry(tree.members(name, entry.value())));
  }
  check_tree(metadata.entries, tree);
  const json::value* use_ocdbt = members.find("use_ocdbt");
  if (use_ocdbt != nullptr && !use_ocdbt->is_null()) {
    metadata.use_ocdbt = members.boolean_or("use_ocdbt", false);
  }
  metadata.use_zarr3 = members.boolean_or("use_zarr3", false);
  metadata.store_array_data_equal_to_fill_value =
      members.boolean_or("store_array_data_equal_to_fill_value", false);
  if (const json::value* custom = members.find("custom_metadata")) {
    if (!custom->is_null() && !custom->is_object()) {
      members.fail("custom_metadata", describe(*custom), "an object or null");
    }
    metadata.custom_metadata = json::value(*custom, json::storage_ptr());
  }
  return metadata;
}

}  // namespace cairn::orbax
