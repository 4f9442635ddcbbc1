#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/path_kind.h>

#include <algorithm>
#include <array>

namespace cairn::internal {
namespace {

using Entries = std::vector<engine::DirectoryEntry>;

/// Sub-directories that are looked into before a directory's kind is given up.
constexpr std::size_t kLookedIntoMax = 64;

constexpr std::array<std::string_view, 3> kZarrFiles = {"zarr.json", ".zarray", ".zgroup"};

bool has_file(const Entries& entries, std::string_view name) {
  return std::ranges::any_of(entries, [&](const engine::DirectoryEntry& entry) {
    return entry.name == name && entry.type != engine::FileType::directory;
  });
}

bool has_zarr_files(const Entries& entries) {
  return std::ranges::any_of(kZarrFiles, [&](auto name) { return has_file(entries, name); });
}

/// What the directories below show.
struct Below {
  bool steps = false;  ///< directories with steps' names, which are no zarr arrays
  bool items = false;
  bool zarr = false;
};

Task<Below> look_below(FolderPtr folder, Entries entries) {
  Below below;
  std::size_t seen = 0;
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type != engine::FileType::directory) continue;
    if (++seen > kLookedIntoMax) break;
    FolderPtr inside = co_await open_subfolder(folder, entry.name);
    const Entries files = co_await list_folder(inside);
    const bool zarr = has_zarr_files(files);
    below.zarr = below.zarr || zarr;
    if (!zarr && orbax::step_from_name(entry.name)) below.steps = true;
    if (has_file(files, orbax::kTreeMetadataFile) || has_file(files, "manifest.ocdbt") ||
        !json_file(files).empty()) {
      below.items = true;
    }
  }
  co_return below;
}

}  // namespace

bool has_tree_files(const Entries& entries) {
  return has_file(entries, orbax::kTreeMetadataFile) || has_file(entries, "manifest.ocdbt") ||
         has_zarr_files(entries);
}

std::string json_file(const Entries& entries) {
  // Orbax v0's name, v1's, and that of the metrics.
  for (const std::string_view name : {"metadata", "data.json", "metrics"}) {
    if (has_file(entries, name)) return std::string(name);
  }
  return "";
}

Task<ItemKind> kind_by_files(FolderPtr item) {
  const Entries entries = co_await list_folder(item);
  if (has_tree_files(entries)) co_return ItemKind::tree;
  if (!json_file(entries).empty()) co_return ItemKind::json;
  // A tree of arrays need not have a file at its root.
  const Below below = co_await look_below(item, entries);
  co_return below.zarr ? ItemKind::tree : ItemKind::unknown;
}

Task<PathKind> find_path_kind(FolderPtr folder) {
  const Entries entries = co_await list_folder(folder);
  // A step may be an item itself (Orbax's Checkpointer): its metadata tells it from one.
  if (has_file(entries, orbax::kStepMetadataFile) || has_file(entries, "orbax.checkpoint"))
    co_return PathKind::step;
  if (has_tree_files(entries) || !json_file(entries).empty()) co_return PathKind::item;
  if (has_file(entries, orbax::kRootMetadataFile)) co_return PathKind::root;
  const Below below = co_await look_below(folder, entries);
  if (below.steps) co_return PathKind::root;
  if (below.items) co_return PathKind::step;
  co_return below.zarr ? PathKind::item : PathKind::root;
}

}  // namespace cairn::internal
