#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/marker.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/tree_reader.h>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between the two

constexpr std::uint64_t kMarkerBytesMax = 64u << 10;

std::string kind_name(orbax::ValueType type) {
  using orbax::ValueType;
  switch (type) {
    case ValueType::jax_array:
    case ValueType::np_ndarray: return "array";
    case ValueType::scalar: return "scalar";
    case ValueType::string: return "string";
    case ValueType::none: return "null";
    case ValueType::empty_dict: return "empty dict";
    case ValueType::empty_list: return "empty list";
    case ValueType::empty_tuple:
    case ValueType::empty_named_tuple: return "empty tuple";
  }
  return "unknown";
}

std::string codec_name(zarr::Codec codec) {
  switch (codec) {
    case zarr::Codec::bytes: return "bytes";
    case zarr::Codec::crc32c: return "crc32c";
  }
  return "unknown";
}

LeafInfo describe(const TreeReader& reader, const StoredLeaf& leaf) {
  LeafInfo info;
  info.key_path = to_string(leaf.entry.path);
  info.kind = kind_name(leaf.entry.type);
  if (!leaf.has_data) return info;
  info.dtype = leaf.metadata.dtype;
  info.shape = leaf.metadata.shape;
  info.chunk_shape = leaf.metadata.chunk_shape;
  for (const zarr::Codec codec : leaf.metadata.codecs) info.codecs.push_back(codec_name(codec));
  info.chunks = leaf.chunks;
  info.bytes = byte_count(leaf.metadata.dtype, leaf.metadata.shape);
  info.stored_bytes = reader.stored_bytes(leaf);
  return info;
}

Task<void> add_files(FolderPtr folder, std::string prefix, std::vector<FileInfo>* files) {
  auto entries = co_await list_folder(folder);
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type == engine::FileType::directory) {
      FolderPtr below = co_await open_subfolder(folder, entry.name);
      co_await add_files(below, prefix + entry.name + "/", files);
      continue;
    }
    const std::optional<engine::FileStatus> status = co_await find_status(folder, entry.name);
    if (!status) continue;
    FileInfo info;
    info.path = prefix + entry.name;
    info.bytes = status->size;
    files->push_back(std::move(info));
  }
}

Task<ItemInfo> inspect_item(OpenStepPtr step, std::string name) {
  ItemInfo info;
  info.name = name;
  if (step->metadata) {
    const auto found = step->metadata->item_handlers.find(name);
    if (found != step->metadata->item_handlers.end()) info.handler = found->second;
  }
  const ItemKind kind = co_await item_kind(step, name);
  info.kind = kind == ItemKind::tree ? "tree" : kind == ItemKind::json ? "json" : "unknown";
  FolderPtr folder = co_await open_subfolder(step->folder, name);
  co_await add_files(folder, "", &info.files);
  std::ranges::sort(info.files, {}, &FileInfo::path);
  if (kind == ItemKind::tree) {
    TreeReader reader(folder, name);
    co_await reader.open();
    for (const StoredLeaf& leaf : reader.leaves()) info.leaves.push_back(describe(reader, leaf));
    if (reader.record()) info.writer_version = reader.record()->writer_version;
  }
  co_return info;
}

Task<StepInfo> inspect(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step(engine, path);
  StepInfo info;
  info.path = path;
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  info.step = orbax::step_from_name(trimmed.substr(trimmed.rfind('/') + 1));
  if (step->metadata) {
    info.metrics = step->metadata->metrics;
    info.custom_metadata = step->metadata->custom_metadata;
    info.init_timestamp_ns = step->metadata->init_timestamp_ns;
    info.commit_timestamp_ns = step->metadata->commit_timestamp_ns;
  }
  for (const std::string& name : step->items) {
    ItemInfo item = co_await inspect_item(step, name);
    for (const LeafInfo& leaf : item.leaves) info.bytes += leaf.bytes;
    for (const FileInfo& file : item.files) info.stored_bytes += file.bytes;
    info.items.push_back(std::move(item));
  }
  co_return info;
}

void add_damage(VerifyReport* report, const std::string& item, std::string message) {
  Damage damage;
  damage.item = item;
  damage.message = std::move(message);
  report->damages.push_back(std::move(damage));
}

Task<void> verify_marker(FolderPtr folder, std::string item, VerifyReport* report) {
  const std::string name(orbax::kCommitMarkerFile);
  const std::optional<std::string> text = co_await read_file_if_there(folder, name, kMarkerBytesMax);
  if (!text || text->starts_with(kCommitMarkerStart)) co_return;
  add_damage(report, item,
             join_path(folder->path, name) + " at byte 0: found " + std::to_string(text->size()) +
                 " other bytes; allowed: \"" + std::string(kCommitMarkerStart) + "...\"");
}

Task<void> verify_item(OpenStepPtr step, std::string name, VerifyReport* report) {
  FolderPtr folder = co_await open_subfolder(step->folder, name);
  co_await verify_marker(folder, name, report);
  const ItemKind kind = co_await item_kind(step, name);
  if (kind == ItemKind::json) {
    const Restored::Item parsed = co_await restore_item(step, name, args::JsonRestore());
    static_cast<void>(parsed);
  }
  if (kind != ItemKind::tree) co_return;
  TreeReader reader(folder, name);
  co_await reader.open();
  DamageSink sink = [report, name](const Error& error) { add_damage(report, name, error.what()); };
  co_await reader.verify(*report, sink);
}

/// Of the step itself. Restoring can do without these files, but damage to them means lost bytes.
Task<void> verify_step_files(OpenStepPtr step, VerifyReport* report) {
  if (step->lock && !step->metadata) add_damage(report, "", step->lock->path + ": not the metadata of a step");
  if (step->items.empty()) add_damage(report, "", step->folder->path + ": the step has no items");
  co_await verify_marker(step->folder, "", report);
}

/// Puts what `part` throws into the report.
Task<void> report_failure(Task<void> part, std::string path, std::string item, VerifyReport* report) {
  std::exception_ptr failure;
  try {
    co_await std::move(part);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) add_damage(report, item, message_of(as_error(failure, "verify", path)));
}

Task<VerifyReport> verify(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step(engine, path);
  VerifyReport report;
  report.path = path;
  co_await report_failure(verify_step_files(step, &report), path, "", &report);
  for (const std::string& name : step->items) {
    co_await report_failure(verify_item(step, name, &report), join_path(path, name), name, &report);
  }
  co_return report;
}

Task<std::vector<Step>> list(EnginePtr engine, std::string root_path) {
  FolderPtr root = co_await open_folder(engine, root_path);
  co_return co_await list_committed_steps(root);
}

}  // namespace

Future<StepInfo> inspect_step(std::shared_ptr<engine::Engine> engine, std::string step_path) {
  return start(engine, inspect(engine, step_path), "inspect", step_path);
}

Future<VerifyReport> verify_step(std::shared_ptr<engine::Engine> engine, std::string step_path) {
  return start(engine, verify(engine, step_path), "verify", step_path);
}

Future<std::vector<Step>> list_steps(std::shared_ptr<engine::Engine> engine, std::string root) {
  return start(engine, list(engine, root), "list steps", root);
}

}  // namespace cairn
