#pragma once
// What a directory is, by what is in it.

#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/storage.h>

#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// What an item's own directory shows.
enum class ItemKind : std::uint8_t {
  tree,
  json,
  proto,           ///< Orbax's ProtoCheckpointHandler
  jax_random_key,  ///< its JaxRandomKeyCheckpointHandler
  random_key,      ///< its NumpyRandomKeyCheckpointHandler
  unknown
};

/// What a JSON item's document may be called: Orbax v0's name, v1's, and that of the metrics.
inline constexpr std::string_view kJsonFiles[] = {"metadata", "data.json", "metrics"};

/// By the files of the item's directory: Orbax's tree metadata, an OCDBT manifest, or zarr arrays
/// or groups make a tree.
Task<ItemKind> kind_by_files(FolderPtr item);
/// Whether the directory itself holds a tree: files, not those below it.
[[nodiscard]] bool has_tree_files(const std::vector<engine::DirectoryEntry>& entries);
/// The name of the file that a JSON item keeps its document in; empty where there is none.
[[nodiscard]] std::string json_file(const std::vector<engine::DirectoryEntry>& entries);

/// Of a directory.
Task<PathKind> find_path_kind(FolderPtr folder);
/// Whether a directory below `root` with the name of a step is one: with a number alone it is, with
/// a prefix what is in it decides; false where that cannot be seen.
Task<bool> looks_like_a_step(FolderPtr root, std::string name);
/// Of any path: what is no directory can be safetensors alone. Links are followed.
Task<PathKind> kind_at(EnginePtr engine, std::string path);

}  // namespace cairn::internal
