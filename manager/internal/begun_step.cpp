#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/begun_step.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/internal/step_records.h>

#include <algorithm>
#include <string_view>

namespace cairn::internal {
namespace {

/// Whether the metadata was written when a save began, and not again when it ended. A file without
/// the member tells nothing.
bool lacks_commit_time(const std::string& text) {
  try {
    const boost::json::value metadata = orbax::parse_json(text, orbax::kStepMetadataFile);
    const auto* object = metadata.if_object();
    const auto* time = object == nullptr ? nullptr : object->if_contains("commit_timestamp_nsecs");
    return time != nullptr && time->is_null();
  } catch (const FormatError&) {
    return false;
  }
}

}  // namespace

Task<std::optional<std::string>> find_evidence(FolderPtr folder) {
  const std::vector<engine::DirectoryEntry> entries = co_await list_folder(folder);
  if (entries.empty()) co_return std::string();
  const auto has = [&entries](std::string_view name) {
    return std::ranges::find(entries, name, &engine::DirectoryEntry::name) != entries.end();
  };
  // It may have committed since somebody looked for the marker.
  if (has(orbax::kCommitMarkerFile)) co_return std::nullopt;
  if (has(kOwnerFile)) co_return std::string(kOwnerFile);
  std::string metadata(orbax::kStepMetadataFile);
  if (!has(metadata)) co_return std::nullopt;
  const std::optional<std::string> text =
      co_await read_file_if_there(folder, metadata, kStepMetadataBytesMax);
  if (!text || !lacks_commit_time(*text)) co_return std::nullopt;
  co_return metadata;
}

Task<std::optional<std::string>> find_begun_step(FolderPtr root, std::string name) {
  std::optional<std::string> evidence;
  try {
    const StepRules rules(standard_name_format(), Atomicity::commit_file);
    const bool committed = co_await is_committed(root, rules, name);
    if (committed) co_return std::nullopt;
    FolderPtr folder = co_await open_subfolder(root, name);
    evidence = co_await find_evidence(folder);
  } catch (const Error&) {
    // Gone since, or not ours to read: a root may hold such things.
    evidence.reset();
  }
  co_return evidence;
}

Task<void> remove_begun_step(FolderPtr root, std::string name, std::string evidence) {
  FolderPtr folder = co_await open_subfolder(root, name);
  co_await remove_tree(folder, std::string(orbax::kCommitMarkerFile));
  // Whoever removed it, this process or one that died since.
  co_await sync_folder(folder);
  const std::vector<engine::DirectoryEntry> entries = co_await list_folder(folder);
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.name != evidence) co_await remove_tree(folder, entry.name);
  }
  co_await sync_folder(folder);
  co_await remove_tree(root, name);
}

}  // namespace cairn::internal
