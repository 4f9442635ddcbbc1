// ItemIndex for items without Orbax's metadata: zarr arrays and groups, whose names are the tree.

#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/item_index.h>

#include <algorithm>
#include <set>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kNodeMetadataBytesMax = 64u << 20;
constexpr std::string_view kGroupFile = ".zgroup";

/// "a/b" of "a/b/zarr.json"; none where the key does not end with `file` as a component.
std::optional<std::string> node_of(const std::string& key, std::string_view file) {
  if (key == file) return std::string();
  if (key.size() <= file.size() || !key.ends_with(file)) return std::nullopt;
  const std::size_t slash = key.size() - file.size() - 1;
  return key[slash] == '/' ? std::optional(key.substr(0, slash)) : std::nullopt;
}

KeyPath path_of(const std::string& name) {
  KeyPath path;
  for (std::size_t begin = 0; !name.empty() && begin <= name.size();) {
    const auto end = std::min(name.find('/', begin), name.size());
    path.emplace_back(name.substr(begin, end - begin), Key::Kind::dict);
    begin = end + 1;
  }
  return path;
}

/// The name that a selection means, in zarr's spelling.
std::string name_of(const args::Selection& selection) {
  const auto* keys = std::get_if<KeyPath>(&selection.path);
  if (keys == nullptr) return std::get<std::string>(selection.path);
  std::string name;
  for (const Key& key : *keys) name += (name.empty() ? "" : "/") + key.name;
  return name;
}

/// A group's zarr.json; one that cannot be read is left to the array's decoder, which says why.
bool is_group(const std::string& text) {
  try {
    const boost::json::value value = orbax::parse_json(text, "zarr.json");
    const auto* object = value.if_object();
    const auto* type = object != nullptr ? object->if_contains("node_type") : nullptr;
    return type != nullptr && type->is_string() && type->get_string() == "group";
  } catch (const FormatError&) {
    return false;
  }
}

/// `names` ascend.
bool has_names_below(const std::vector<std::string>& names, const std::string& name) {
  const std::string below = name.empty() ? "" : name + "/";
  auto next = std::ranges::lower_bound(names, below);
  if (next != names.end() && *next == name) ++next;
  return next != names.end() && next->starts_with(below);
}

}  // namespace

Task<void> ItemIndex::index_names(LeafChooser choose, Selections selections) {
  KeySet keys;
  for (const args::Selection& selection : selections) {
    const std::string name = name_of(selection);
    keys.add_prefix(name.empty() ? "" : name + "/");
  }
  keys.seal();
  // Named first: g++ 12 destroys the operands of a conditional within co_await twice.
  KeySet wanted = selections.empty() ? KeySet::all() : std::move(keys);
  co_await database_.load(std::move(wanted));
  std::vector<std::string> fetched;
  std::vector<std::string> names = list_nodes(fetched);
  if (names.empty() && !selections.empty()) {
    // For a message that says what there is.
    co_await database_.load(KeySet::all());
    names = list_nodes(fetched);
  }
  co_await database_.fetch(std::move(fetched), kNodeMetadataBytesMax);
  const bool partial = !selections.empty();
  auto take = [this, &names, &choose, partial] {
    take_named(names, choose, partial);
    set_arrays();
  };
  co_await engine::async_run(item_->engine->cpu(), std::move(take), asio::use_awaitable);
}

/// Names of arrays and groups, ascending; `fetched` gets the keys of their metadata.
std::vector<std::string> ItemIndex::list_nodes(std::vector<std::string>& fetched) const {
  std::set<std::string> names;
  for (const DatabaseEntry& entry : database_.entries()) {
    for (const std::string_view file : {zarr::metadata_file(zarr::Format::v3),
                                        zarr::metadata_file(zarr::Format::v2), kGroupFile}) {
      const auto name = node_of(entry.key, file);
      if (!name) continue;
      names.insert(*name);
      if (file != kGroupFile) fetched.push_back(entry.key);
    }
  }
  return {names.begin(), names.end()};
}

void ItemIndex::take_named(const std::vector<std::string>& names, const LeafChooser& choose,
                           bool partial) {
  std::vector<KeyPath> paths;
  std::vector<orbax::ValueType> types;
  std::vector<std::string> taken;
  std::set<std::string> arrays;
  for (const std::string& name : names) {
    const DatabaseEntry* v3 = database_.find(array_key(name, zarr::Format::v3));
    const DatabaseEntry* v2 = database_.find(array_key(name, zarr::Format::v2));
    const bool array = (v3 != nullptr && !is_group(v3->value)) || v2 != nullptr;
    // A group shows by what is in it; an empty one by itself.
    if (!array && has_names_below(names, name)) continue;
    paths.push_back(path_of(name));
    types.push_back(array ? orbax::ValueType::np_ndarray : orbax::ValueType::empty_dict);
    taken.push_back(name);
    if (array) arrays.insert(name);
  }
  // What could not be read has been reported.
  if (paths.empty() && !database_.complete()) return;
  if (paths.empty() && !partial) {
    ErrorContext context;
    context.operation = "open";
    context.item = name_;
    context.path = item_->path;
    throw Error(ErrorCode::not_found,
                "there is neither Orbax's _METADATA nor a zarr array or group here", context);
  }
  refuse_linked_nodes(arrays);
  for (const Chosen& chosen : choose(paths, types)) {
    StoredLeaf leaf;
    leaf.path = paths[chosen.leaf];
    leaf.type = types[chosen.leaf];
    leaf.name = taken[chosen.leaf];
    leaf.range = chosen.range;
    leaves_.push_back(std::move(leaf));
  }
}

/// An array or a group whose directory is a link has no other sign here. What is within an array's
/// directory is its own affair.
void ItemIndex::refuse_linked_nodes(const std::set<std::string>& arrays) const {
  for (const std::string& link : database_.links()) {
    bool within = arrays.contains("");
    for (auto slash = link.find('/'); !within && slash != std::string::npos;
         slash = link.find('/', slash + 1)) {
      within = arrays.contains(link.substr(0, slash));
    }
    // .zgroup, .zattrs, .zmetadata: files.
    const bool file = std::string_view(link).substr(link.rfind('/') + 1).starts_with(".z");
    if (within || file) continue;
    const Error error = link_error("open", join_path(item_->path, link));
    ErrorContext context = error.context();
    context.item = name_;
    damage_(Error(error.code(), error.reason(), context));
  }
}

}  // namespace cairn::internal
