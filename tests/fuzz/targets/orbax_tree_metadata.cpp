// <item>/_METADATA: what decodes can be written again and reads the same, and its paths are one
// tree.

#include <cairn/codecs/orbax.h>
#include <fuzz/json_inputs.h>

#include <optional>

namespace cairn::fuzz {
namespace {

using namespace orbax;  // NOLINT(google-build-using-namespace): all of this is Orbax's

constexpr std::string_view kWords[] = {"tree_metadata",
                                       "key_metadata",
                                       "value_metadata",
                                       "key",
                                       "key_type",
                                       "value_type",
                                       "skip_deserialize",
                                       "write_shape",
                                       "use_ocdbt",
                                       "use_zarr3",
                                       "store_array_data_equal_to_fill_value",
                                       "custom_metadata",
                                       "jax.Array",
                                       "np.ndarray",
                                       "scalar",
                                       "string",
                                       "None",
                                       "Dict",
                                       "List",
                                       "Tuple",
                                       "NamedTuple",
                                       "0",
                                       "1",
                                       "a.b",
                                       "\xc3\xa9'\"\\\n"};

// A node that is written as one of this type; none where Orbax alone makes them.
std::optional<Tree> node_of(ValueType type) {
  switch (type) {
    case ValueType::np_ndarray:
      return Tree(Array(DType::float32, {2}));
    case ValueType::scalar:
      return Tree(1);
    case ValueType::string:
      return Tree("text");
    case ValueType::none:
      return Tree(Null());
    case ValueType::empty_dict:
      return Tree(Dict());
    case ValueType::empty_list:
      return Tree(List());
    case ValueType::empty_tuple:
      return Tree(Tuple());
    case ValueType::jax_array:
    case ValueType::foreign:
    case ValueType::empty_named_tuple:
      break;
  }
  return std::nullopt;
}

void check_one_tree(const TreeMetadata& metadata) {
  std::vector<std::pair<KeyPath, Tree>> entries;
  for (const auto& entry : metadata.entries) {
    const auto node = node_of(entry.type);
    require(!node || value_type_of(*node) == entry.type, "a node is written as what was read");
    entries.emplace_back(entry.path, Tree());
    require(!to_string(entry.path).empty(), "a path has a name for people");
  }
  const auto tree = unflatten(std::move(entries));
  // Without entries, the tree is the one empty dict.
  const auto leaves = std::max<std::size_t>(metadata.entries.size(), 1);
  require(flatten(tree).size() == leaves, "each path is a leaf");
}

void check(std::string_view input) {
  const auto metadata = decoded_document(input, json_memory(input), decode_tree_metadata);
  if (!metadata) return;
  const auto again = decode_tree_metadata(encode(*metadata));
  require(again.entries == metadata->entries, "the entries read back as they were");
  require(again.use_ocdbt == metadata->use_ocdbt && again.use_zarr3 == metadata->use_zarr3 &&
              again.store_array_data_equal_to_fill_value ==
                  metadata->store_array_data_equal_to_fill_value &&
              to_json(again.custom_metadata) == to_json(metadata->custom_metadata),
          "the members read back as they were");
  check_one_tree(*metadata);
}

// A path that another one goes through, a key of the other kind, or a path that is too long.
void change_path(std::vector<TreeEntry>& entries, Mutation& mutation) {
  const KeyPath other = entries[mutation.below(entries.size())].path;
  KeyPath& path = entries[mutation.below(entries.size())].path;
  switch (mutation.below(6)) {
    case 0:
      path = other;
      path.emplace_back("0", mutation.one_in(2) ? Key::Kind::dict : Key::Kind::sequence);
      return;
    case 1:
      path.assign(other.begin(),
                  other.begin() + static_cast<std::ptrdiff_t>(mutation.below(other.size() + 1)));
      return;
    case 2:
      if (!path.empty()) path.back().kind = static_cast<Key::Kind>(mutation.below(2) + 1);
      return;
    case 3:
      if (!path.empty()) path.back().name = std::to_string(mutation.below(4));
      return;
    case 4:
      if (mutation.one_in(4))
        path.resize(kMaxTreeDepth + mutation.below(2), Key("k", Key::Kind::dict));
      return;
    default:
      path.insert(path.begin(), Key("0", static_cast<Key::Kind>(mutation.below(2) + 1)));
  }
}

std::string mutate(std::string_view input, Mutation& mutation) {
  if (mutation.one_in(4)) {
    try {
      auto metadata = decode_tree_metadata(input);
      if (metadata.entries.empty()) metadata.entries.emplace_back();
      change_path(metadata.entries, mutation);
      return encode(metadata);
    } catch (const FormatError&) {  // cannot be changed as a tree
    }
  }
  return mutate_json(input, kWords, mutation);
}

Seeds seeds(const TestData& data) {
  Seeds found;
  for (const auto& file : data.files("orbax")) {
    if (file.string().ends_with("_METADATA") && !file.string().ends_with("_CHECKPOINT_METADATA")) {
      found.push_back(data.read(file));
    }
  }
  TreeMetadata metadata;
  for (std::uint8_t type = 0; type <= static_cast<std::uint8_t>(ValueType::empty_named_tuple);
       ++type) {
    TreeEntry entry;
    entry.path = {Key("list", Key::Kind::dict), Key(std::to_string(type), Key::Kind::sequence)};
    entry.type = static_cast<ValueType>(type);
    if (entry.type == ValueType::foreign) entry.foreign_type = "torch.Tensor";
    if (type % 2 == 0) entry.write_shape = Shape{type, 3};
    metadata.entries.push_back(entry);
  }
  metadata.use_ocdbt = true;
  metadata.custom_metadata = boost::json::object{{"a", 1.5}};
  found.push_back(encode(metadata));
  // More nodes than the first table of them holds.
  constexpr int kMany = 60;
  for (int i = 0; i < kMany; ++i) {
    TreeEntry entry;
    entry.path = {Key("layer" + std::to_string(i), Key::Kind::dict), Key("w", Key::Kind::dict)};
    metadata.entries.push_back(entry);
  }
  found.push_back(encode(metadata));
  // What no tree can be.
  constexpr auto kDict = Key::Kind::dict;
  const KeyPath paths[][2] = {{{Key("a", kDict)}, {Key("a", kDict), Key("b", kDict)}},
                              {{Key("a", kDict), Key("b", kDict)}, {Key("a", kDict)}},
                              {{Key("a", kDict)}, {Key("0", Key::Kind::sequence)}},
                              {KeyPath(kMaxTreeDepth + 1, Key("k", kDict)), {Key("a", kDict)}}};
  for (const auto& pair : paths) {
    metadata.entries.assign(2, TreeEntry());
    metadata.entries[0].path = pair[0];
    metadata.entries[1].path = pair[1];
    found.push_back(encode(metadata));
  }
  return found;
}

const Registration registration({"orbax_tree_metadata", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
