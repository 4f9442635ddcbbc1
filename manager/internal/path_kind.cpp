#include <cairn/codecs/orbax.h>
#include <cairn/codecs/safetensors.h>
#include <cairn/manager/internal/path_kind.h>
#include <cairn/manager/internal/regular_file.h>
#include <cairn/manager/step_name.h>

#include <algorithm>
#include <array>

namespace cairn::internal {
namespace {

using Entries = std::vector<engine::DirectoryEntry>;

/// Sub-directories that are looked into before a directory's kind is given up, and those below
/// them.
constexpr std::size_t kLookedIntoMax = 64;
constexpr std::size_t kLookedDeeperMax = 512;
constexpr std::size_t kDepthMax = 256;

constexpr std::array<std::string_view, 3> kZarrFiles = {"zarr.json", ".zarray", ".zgroup"};

bool has_file(const Entries& entries, std::string_view name) {
  return std::ranges::any_of(entries, [&](const engine::DirectoryEntry& entry) {
    return entry.name == name && entry.type != engine::FileType::directory;
  });
}

bool has_directory(const Entries& entries, std::string_view name) {
  return std::ranges::any_of(entries, [&](const engine::DirectoryEntry& entry) {
    return entry.name == name && entry.type == engine::FileType::directory;
  });
}

bool has_key_folders(const Entries& entries, std::string_view name) {
  return has_directory(entries, name) &&
         has_directory(entries, std::string(name) + std::string(orbax::kKeyMetadataSuffix));
}

bool has_zarr_files(const Entries& entries) {
  return std::ranges::any_of(kZarrFiles, [&](auto name) { return has_file(entries, name); });
}

/// Files that nothing but a checkpoint's tree has.
bool has_tree_of_orbax(const Entries& entries) {
  return has_file(entries, orbax::kTreeMetadataFile) || has_file(entries, "manifest.ocdbt");
}

bool has_item_files(const Entries& entries) {
  return has_tree_of_orbax(entries) || !json_file(entries).empty();
}

bool has_step_files(const Entries& entries) {
  return has_file(entries, orbax::kStepMetadataFile) || has_file(entries, "orbax.checkpoint");
}

bool has_safetensors(const Entries& entries) {
  return std::ranges::any_of(entries, [](const engine::DirectoryEntry& entry) {
    return entry.type != engine::FileType::directory &&
           (entry.name.ends_with(safetensors::kFileSuffix) ||
            entry.name.ends_with(safetensors::kIndexSuffix));
  });
}

/// A directory below, as far as it can be seen: a root may hold what is not ours to read
/// (lost+found), and steps come and go. Without a folder where it cannot.
struct Inside {
  Inside() = default;
  FolderPtr folder;
  Entries entries;
};

Task<Inside> look_into(FolderPtr parent, std::string name) {
  Inside inside;
  std::exception_ptr failure;
  try {
    inside.folder = co_await open_subfolder(parent, name);
    inside.entries = co_await list_folder(inside.folder);
    co_return inside;
  } catch (...) {
    failure = std::current_exception();
  }
  const ErrorCode code = code_of(failure);
  if (code != ErrorCode::not_found && code != ErrorCode::permission_denied &&
      code != ErrorCode::not_supported) {
    std::rethrow_exception(failure);
  }
  co_return Inside();
}

/// What the directories below show.
struct Below {
  bool steps = false;  ///< directories with steps' names, which are no zarr arrays
  bool items = false;
  bool trees = false;  ///< of these, such with files that nothing else has
  bool zarr = false;
};

/// Whether zarr's files are what comes first on the way down: groups need not have files of their
/// own, so arrays may lie at any depth.
Task<bool> leads_to_zarr(Inside inside, std::size_t depth, std::size_t* looks_left) {
  if (has_item_files(inside.entries) || has_file(inside.entries, orbax::kStepMetadataFile))
    co_return false;
  if (has_zarr_files(inside.entries)) co_return true;
  for (const engine::DirectoryEntry& entry : inside.entries) {
    if (entry.type != engine::FileType::directory) continue;
    if (*looks_left == 0 || depth == kDepthMax) break;
    --*looks_left;
    Inside below = co_await look_into(inside.folder, entry.name);
    const bool zarr = co_await leads_to_zarr(std::move(below), depth + 1, looks_left);
    if (zarr) co_return true;
  }
  co_return false;
}

bool is_number(const std::string& name) {
  return name.find('_') == std::string::npos;
}

/// What only has a number for its name is a step; with a prefix, it must look like one: have its
/// metadata, or be an item itself, as Orbax's Checkpointer makes them.
bool is_step_below(const std::string& name, const Entries& entries) {
  if (!any_standard_name_format()->parse(name)) return false;
  return is_number(name) || has_step_files(entries) || has_tree_of_orbax(entries);
}

Task<Below> look_below(FolderPtr folder, Entries entries) {
  Below below;
  std::size_t seen = 0;
  std::size_t looks_left = kLookedDeeperMax;
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type != engine::FileType::directory) continue;
    if (++seen > kLookedIntoMax) break;
    Inside inside = co_await look_into(folder, entry.name);
    const bool is_zarr = has_zarr_files(inside.entries);
    if (!is_zarr && is_step_below(entry.name, inside.entries)) below.steps = true;
    below.items = below.items || has_item_files(inside.entries);
    below.trees = below.trees || has_tree_of_orbax(inside.entries);
    below.zarr = below.zarr || is_zarr;
    if (!below.zarr) below.zarr = co_await leads_to_zarr(std::move(inside), 1, &looks_left);
  }
  co_return below;
}

}  // namespace

bool has_tree_files(const Entries& entries) {
  return has_tree_of_orbax(entries) || has_zarr_files(entries);
}

std::string json_file(const Entries& entries) {
  for (const std::string_view name : kJsonFiles) {
    if (has_file(entries, name)) return std::string(name);
  }
  return "";
}

Task<ItemKind> kind_by_files(FolderPtr item) {
  const Entries entries = co_await list_folder(item);
  if (has_tree_files(entries)) co_return ItemKind::tree;
  if (!json_file(entries).empty()) co_return ItemKind::json;
  if (has_file(entries, orbax::kProtoFile)) co_return ItemKind::proto;
  if (has_key_folders(entries, orbax::kJaxRandomKeyFolder)) co_return ItemKind::jax_random_key;
  if (has_key_folders(entries, orbax::kNumpyRandomKeyFolder)) co_return ItemKind::random_key;
  // A tree of arrays need not have a file at its root.
  const Below below = co_await look_below(item, entries);
  co_return below.zarr ? ItemKind::tree : ItemKind::unknown;
}

Task<PathKind> find_path_kind(FolderPtr folder) {
  const Entries entries = co_await list_folder(folder);
  // A step may be an item itself (Orbax's Checkpointer): its metadata tells it from one.
  if (has_step_files(entries)) co_return PathKind::step;
  if (has_tree_files(entries)) co_return PathKind::item;
  // Beside a model there may be files of any name; steps may have been exported into their root.
  const bool model = has_safetensors(entries);
  if (!model && !json_file(entries).empty()) co_return PathKind::item;
  if (has_file(entries, orbax::kRootMetadataFile)) co_return PathKind::root;
  const Below below = co_await look_below(folder, entries);
  if (below.steps) co_return PathKind::root;
  if (model) co_return PathKind::safetensors;
  if (below.items) co_return PathKind::step;
  co_return below.zarr ? PathKind::item : PathKind::root;
}

Task<bool> looks_like_a_step(FolderPtr root, std::string name) {
  if (is_number(name)) co_return true;
  const Inside inside = co_await look_into(root, name);
  if (!inside.folder) co_return false;
  if (is_step_below(name, inside.entries)) co_return true;
  // Steps of old releases have no metadata. A root has steps, and a log may have JSON.
  const Below below = co_await look_below(inside.folder, inside.entries);
  co_return below.trees && !below.steps;
}

Task<PathKind> kind_at(EnginePtr engine, std::string path) {
  const engine::FileType type = co_await type_of_path(engine, nullptr, path, LookUp::anywhere);
  if (type != engine::FileType::directory) co_return PathKind::safetensors;
  FolderPtr folder = co_await open_folder(engine, path);
  co_return co_await find_path_kind(folder);
}

}  // namespace cairn::internal
