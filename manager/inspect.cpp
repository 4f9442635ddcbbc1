#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/begun_step.h>
#include <cairn/manager/internal/codec_totals.h>
#include <cairn/manager/internal/leaf_info.h>
#include <cairn/manager/internal/path_kind.h>
#include <cairn/manager/internal/safetensors_report.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/tree_reader.h>
#include <cairn/manager/step_name.h>

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

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
    info.links = status->links;
    files->push_back(std::move(info));
  }
}

/// From the item's record, which leaves out arrays that nobody thought of encoding: what is known
/// of those are the leaves.
std::vector<CodecSummary> summarize_codecs(const CairnRecord& record,
                                           const std::vector<StoredLeaf>& leaves,
                                           const std::vector<LeafInfo>& infos) {
  CodecTotals totals;
  std::unordered_set<std::string_view> recorded;
  for (const CodecRecord& array : record.codecs) {
    recorded.insert(array.array);
    totals.add(array);
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!leaves[i].array || recorded.contains(leaves[i].name)) continue;
    CodecRecord array;
    array.codec = "raw";
    array.reason = "as asked, or small";
    array.bytes = infos[i].bytes;
    array.stored_bytes = infos[i].stored_bytes;
    array.chunks = infos[i].chunks;
    totals.add(array);
  }
  return std::move(totals).finish();
}

std::string kind_text(ItemKind kind) {
  switch (kind) {
    case ItemKind::tree:
      return "tree";
    case ItemKind::json:
      return "json";
    case ItemKind::proto:
      return "proto";
    case ItemKind::jax_random_key:
    case ItemKind::random_key:
      return "random key";
    case ItemKind::unknown:
      break;
  }
  return "unknown";
}

Task<ItemInfo> describe_item(OpenStepPtr step, std::string name) {
  ItemInfo info;
  info.name = name;
  if (step->metadata) {
    const auto found = step->metadata->item_handlers.find(name);
    if (found != step->metadata->item_handlers.end()) info.handler = found->second;
  }
  const ItemKind kind = co_await item_kind(step, name);
  info.kind = kind_text(kind);
  FolderPtr folder = co_await item_folder(step, name);
  co_await add_files(folder, "", &info.files);
  std::ranges::sort(info.files, {}, &FileInfo::path);
  ItemForm form = item_form(*step, name);
  switch (kind) {
    case ItemKind::tree:
      break;
    case ItemKind::jax_random_key:
      folder = co_await open_subfolder(folder, std::string(orbax::kJaxRandomKeyFolder));
      form = ItemForm::single_array;
      break;
    case ItemKind::random_key:
      folder = co_await open_subfolder(folder, std::string(orbax::kNumpyRandomKeyFolder));
      break;
    case ItemKind::json:
    case ItemKind::proto:
    case ItemKind::unknown:
      co_return info;
  }
  // One array that cannot be read hides none of the others.
  std::map<std::string, Error> faults;
  const auto note = [&faults](const Error& error) {
    const std::string& path = error.context().path;
    // Of a file that is not as it was committed verify() tells; what is in it can be shown.
    const bool shown = path.ends_with("/" + std::string(orbax::kTreeMetadataFile)) ||
                       path.ends_with("/" + std::string(orbax::kStringsFile));
    if (error.context().key_path.empty() && !shown) throw Error(error);
    if (!error.context().key_path.empty()) faults.emplace(error.context().key_path, error);
  };
  TreeReader reader(folder, name, form, note);
  co_await reader.open();
  const std::vector<std::uint64_t> stored = co_await reader.stored_bytes();
  for (std::size_t i = 0; i < stored.size(); ++i) {
    info.leaves.push_back(describe_leaf(reader.leaves()[i], stored[i]));
    const auto fault = faults.find(info.leaves.back().key_path);
    if (fault != faults.end()) info.leaves.back().fault = fault->second;
  }
  info.layout = reader.index().database().is_ocdbt() ? "OCDBT" : "directory";
  if (const std::optional<CairnRecord>& record = reader.index().record()) {
    info.writer_version = record->writer_version;
    if (reader.index().record_matches())
      info.codecs = summarize_codecs(*record, reader.leaves(), info.leaves);
  }
  co_return info;
}

std::string last_component(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

Task<StepInfo> describe_open_step(OpenStepPtr step) {
  StepInfo info;
  const std::string path = step->folder->path;
  info.path = path;
  info.step = any_standard_name_format()->parse(last_component(path));
  if (step->metadata) {
    info.metrics = step->metadata->metrics;
    info.custom_metadata = step->metadata->custom_metadata;
    info.init_timestamp_ns = step->metadata->init_timestamp_ns;
    info.commit_timestamp_ns = step->metadata->commit_timestamp_ns;
  }
  for (const std::string& name : step->items) {
    ItemInfo item = co_await describe_item(step, name);
    for (const LeafInfo& leaf : item.leaves) info.bytes += leaf.bytes;
    for (const FileInfo& file : item.files) info.stored_bytes += file.bytes;
    info.items.push_back(std::move(item));
  }
  co_return info;
}

Task<StepInfo> describe_step(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step(engine, path);
  std::exception_ptr failure;
  try {
    StepInfo info = co_await describe_open_step(step);
    co_await close_step(step);
    co_return info;
  } catch (...) {
    failure = std::current_exception();
  }
  failure = co_await explain_failure(step->folder, failure);
  std::rethrow_exception(failure);
}

/// A directory that is taken for an item, whatever else is in it.
Task<OpenStepPtr> open_item(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_step_or_item(engine, path);
  step->direct = true;
  step->items.assign(1, "");
  co_return step;
}

Task<ItemInfo> describe_zarr(EnginePtr engine, std::string path) {
  OpenStepPtr step = co_await open_item(engine, path);
  ItemInfo info = co_await describe_item(step, "");
  co_await close_step(step);
  co_return info;
}

Task<ItemInfo> describe_item_at(EnginePtr engine, std::string path, bool follow_links) {
  const PathKind kind = co_await kind_at(engine, path);
  ItemInfo info;
  if (kind == PathKind::safetensors) {
    info = co_await describe_safetensors(engine, path, follow_links);
  } else {
    info = co_await describe_zarr(engine, path);
  }
  info.name = last_component(path);
  co_return info;
}

Task<std::vector<LeafValues>> describe_values(EnginePtr engine, std::string path, std::string item,
                                              std::vector<args::Selection> selection,
                                              bool follow_links) {
  const PathKind kind = co_await kind_at(engine, path);
  if (kind == PathKind::safetensors)
    co_return co_await safetensors_values(engine, path, std::move(selection), follow_links);
  OpenStepPtr step = co_await open_step_or_item(engine, path);
  FolderPtr folder = co_await item_folder(step, item);
  TreeReader reader(folder, item, item_form(*step, item));
  co_await reader.open(std::move(selection));
  const std::vector<Statistics> statistics = co_await reader.statistics();
  co_await close_step(step);
  std::vector<LeafValues> values;
  for (std::size_t i = 0; i < statistics.size(); ++i) {
    const StoredLeaf& leaf = reader.leaves()[i];
    if (!leaf.array) continue;
    LeafValues one;
    one.key_path = to_string(leaf.path);
    one.dtype = leaf.array->metadata.dtype;
    one.shape = leaf.wanted().shape;
    one.statistics = statistics[i];
    values.push_back(std::move(one));
  }
  co_return values;
}

Task<std::vector<StepEntry>> list(EnginePtr engine, std::string root_path) {
  FolderPtr root = co_await open_folder(engine, root_path);
  const StepNameFormatPtr names = any_standard_name_format();
  std::vector<StepEntry> steps;
  const std::vector<engine::DirectoryEntry> entries = co_await list_folder(root);
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type != engine::FileType::directory) continue;
    const std::optional<Step> step = names->parse(entry.name);
    if (!step) continue;
    const bool looks_like_one = co_await looks_like_a_step(root, entry.name);
    if (!looks_like_one) continue;
    // A save by commit_file: list_leftovers() has it.
    const std::optional<std::string> begun = co_await find_begun_step(root, entry.name);
    if (!begun || begun->empty()) steps.emplace_back(*step, entry.name);
  }
  std::ranges::sort(steps, {}, [](const StepEntry& entry) {
    return std::pair<Step, std::string_view>(entry.step, entry.name);
  });
  co_return steps;
}

}  // namespace

std::string_view to_string(PathKind kind) noexcept {
  switch (kind) {
    case PathKind::root:
      return "root";
    case PathKind::step:
      return "step";
    case PathKind::item:
      return "item";
    case PathKind::safetensors:
      return "safetensors";
  }
  return "unknown";
}

Future<PathKind> kind_of_path(std::shared_ptr<engine::Engine> engine, std::string path) {
  return start(engine, kind_at(engine, path), "look at", path);
}

Future<StepInfo> inspect_step(std::shared_ptr<engine::Engine> engine, std::string step_path) {
  return start(engine, describe_step(engine, step_path), "inspect", step_path);
}

Future<ItemInfo> inspect_item(std::shared_ptr<engine::Engine> engine, std::string item_path,
                              bool follow_links) {
  return start(engine, describe_item_at(engine, item_path, follow_links), "inspect", item_path);
}

Future<std::vector<LeafValues>> inspect_values(std::shared_ptr<engine::Engine> engine,
                                               std::string path, std::string item,
                                               std::vector<args::Selection> selection,
                                               bool follow_links) {
  return start(engine,
               describe_values(engine, path, std::move(item), std::move(selection), follow_links),
               "inspect values", path);
}

Future<std::vector<StepEntry>> list_steps(std::shared_ptr<engine::Engine> engine,
                                          std::string root) {
  return start(engine, list(engine, root), "list steps", root);
}

}  // namespace cairn
