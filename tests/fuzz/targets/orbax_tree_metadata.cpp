// <item>/_METADATA: what decodes can be written again and reads the same, and its paths are one
// tree.

#include <cairn/codecs/orbax.h>
#include <fuzz/json_inputs.h>

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

void check_one_tree(const TreeMetadata& metadata) {
  std::vector<std::pair<KeyPath, Tree>> entries;
  bool deep = false;
  for (const auto& entry : metadata.entries) {
    entries.emplace_back(entry.path, Tree());
    deep |= entry.path.size() > kMaxTreeDepth;
    static_cast<void>(dotted_name(entry.path));
    static_cast<void>(to_string(entry.path));
  }
  const auto count = entries.size();
  const auto tree = decoded(std::size_t{1} << 30, [&] { return unflatten(std::move(entries)); });
  require(tree.has_value() != deep, "the paths of a tree's metadata make a tree");
  // Without entries, the tree is the one empty dict.
  if (tree)
    require(flatten(*tree).size() == std::max<std::size_t>(count, 1), "each path is a leaf");
}

void check(std::string_view input) {
  const auto metadata = decoded(json_memory(input), [&] { return decode_tree_metadata(input); });
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

std::string mutate(std::string_view input, Mutation& mutation) {
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
    if (type % 2 == 0) entry.write_shape = Shape{type, 3};
    metadata.entries.push_back(entry);
  }
  metadata.use_ocdbt = true;
  metadata.custom_metadata = boost::json::object{{"a", 1.5}};
  found.push_back(encode(metadata));
  return found;
}

const Registration registration({"orbax_tree_metadata", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
