#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/marker.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/tree_reader.h>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

std::string kind_name(orbax::ValueType type) {
  using orbax::ValueType;
  switch (type) {
    case ValueType::jax_array:
    case ValueType::np_ndarray:
      return "array";
    case ValueType::scalar:
      return "scalar";
    case ValueType::string:
      return "string";
    case ValueType::none:
      return "null";
    case ValueType::empty_dict:
      return "empty dict";
    case ValueType::empty_list:
      return "empty list";
    case ValueType::empty_tuple:
    case ValueType::empty_named_tuple:
      return "empty tuple";
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
  for (const zarr::Codec& codec : leaf.metadata.codecs)
    info.codecs.emplace_back(zarr::name_of(codec));
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

/// Orbax's Checkpointer makes steps that are one item themselves: to take its folders for items
/// would say that nothing is wrong with a step of which nothing was read.
void refuse_direct_layout(const OpenStep& step) {
  if (!step.metadata || !step.metadata->item_handlers.contains("")) return;
  ErrorContext context;
  context.path = step.folder->path;
  throw Error(
      ErrorCode::not_supported,
      "the step is a single item without a folder of its own, which this release cannot read",
      context);
}

Task<StepInfo> inspect(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step(engine, path);
  refuse_direct_layout(*step);
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

Damage damage_of(const std::string& item, const Error& error) {
  Damage damage;
  damage.item = item;
  damage.file = error.context().path;
  damage.offset = error.context().offset;
  damage.key_path = error.context().key_path;
  damage.message = error.what();
  return damage;
}

/// An error of any other type is a defect, and is not caught.
Damage damage_of(const std::string& item, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& cause) {
    return damage_of(item, cause);
  }
}

/// False where the step may be as good as ever: what failed is this process, or this release is too
/// old for it.
bool tells_of_damage(ErrorCode code) {
  return code == ErrorCode::data_loss || code == ErrorCode::not_found ||
         code == ErrorCode::io_error;
}

/// Checks the step's metadata against what is there. A restore goes by the files where the metadata
/// cannot be read; that something is wrong with it shows here alone.
void verify_metadata(const OpenStep& step, VerifyReport& report) {
  const auto add = [&](const std::string& item, std::string reason) {
    ErrorContext context;
    context.operation = "read";
    context.item = item;
    context.path = join_path(step.folder->path, std::string(orbax::kStepMetadataFile));
    report.damages.push_back(
        damage_of(item, Error(ErrorCode::data_loss, std::move(reason), context)));
  };
  if (step.lock && !step.metadata) add("", "the step's metadata cannot be decoded");
  if (step.items.empty()) add("", "the step has no items");
  if (!step.metadata) return;
  for (const auto& [name, handler] : step.metadata->item_handlers) {
    // Orbax names items that have no folder, as its descriptor; only what should hold data is
    // missed.
    const bool holds_data = handler.ends_with("StandardCheckpointHandler") ||
                            handler.ends_with("PyTreeCheckpointHandler") ||
                            handler.ends_with("JsonCheckpointHandler");
    if (holds_data && std::ranges::find(step.items, name) == step.items.end()) {
      add(name, "the metadata names this item, but its folder is not there");
    }
  }
}

/// A marker is optional; one with other content lost bytes.
Task<void> verify_marker(FolderPtr folder, std::string item, VerifyReport* report) {
  constexpr std::uint64_t kMarkerBytesMax = 64u << 10;
  const std::string name(orbax::kCommitMarkerFile);
  const std::optional<std::string> text =
      co_await read_file_if_there(folder, name, kMarkerBytesMax);
  if (!text || text->starts_with(kCommitMarkerStart)) co_return;
  ErrorContext context;
  context.operation = "read";
  context.item = item;
  context.path = join_path(folder->path, name);
  std::string reason = "found " + std::to_string(text->size()) + " other bytes where \"" +
                       std::string(kCommitMarkerStart) + "...\" should be";
  report->damages.push_back(
      damage_of(item, Error(ErrorCode::data_loss, std::move(reason), context)));
}

Task<void> verify_item(OpenStepPtr step, std::string name, VerifyReport* report) {
  FolderPtr folder = co_await open_subfolder(step->folder, name);
  co_await verify_marker(folder, name, report);
  const ItemKind kind = co_await item_kind(step, name);
  if (kind == ItemKind::unknown) report->unchecked_items.push_back(name);
  if (kind == ItemKind::json) {
    const Restored::Item parsed = co_await restore_item(step, name, args::JsonRestore());
    static_cast<void>(parsed);
  }
  if (kind != ItemKind::tree) co_return;
  TreeReader reader(folder, name);
  co_await reader.open();
  DamageSink sink = [report, name](const Error& error) {
    report->damages.push_back(damage_of(name, error));
  };
  co_await reader.verify(*report, sink);
}

Task<VerifyReport> verify(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step(engine, path);
  refuse_direct_layout(*step);
  VerifyReport report;
  report.path = path;
  verify_metadata(*step, report);
  co_await verify_marker(step->folder, "", &report);
  for (const std::string& name : step->items) {
    std::exception_ptr failure;
    try {
      co_await verify_item(step, name, &report);
    } catch (...) {
      failure = std::current_exception();
    }
    if (!failure) continue;
    failure = as_error(failure, "verify", join_path(path, name));
    if (!tells_of_damage(code_of(failure))) std::rethrow_exception(failure);
    report.damages.push_back(damage_of(name, failure));
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
