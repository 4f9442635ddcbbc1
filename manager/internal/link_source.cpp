#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/item_database.h>
#include <cairn/manager/internal/link_source.h>
#include <cairn/manager/internal/step_directory.h>

#include <set>
#include <string_view>

namespace cairn::internal {
namespace {

/// Each may be synced, once.
constexpr std::size_t kLinksInFlight = 32;

/// True for "d/<name>": what DataFiles makes.
bool is_data_path(const std::string& path) {
  return path.size() > 2 && path.starts_with("d/") && path.find('/', 2) == path.npos &&
         path[2] != '.';
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// A record that decodes may still say what no save wrote: what is linked must hold every chunk
/// that the next step will refer to.
bool holds_together(const ChunkTraces& traces) {
  std::set<std::string_view> paths;
  for (const DataFileRecord& file : traces.files) {
    if (!paths.insert(file.path).second) return false;
  }
  for (const ArrayTrace& array : traces.arrays) {
    for (const ChunkTrace& chunk : array.chunks) {
      if (chunk.length == 0) continue;
      if (chunk.file >= traces.files.size()) return false;
      const std::uint64_t bytes = traces.files[chunk.file].bytes;
      if (chunk.length > bytes || chunk.offset > bytes - chunk.length) return false;
    }
  }
  return true;
}

}  // namespace

Task<void> LinkSource::read(FolderPtr item) {
  const auto text = co_await read_file_if_there(item, std::string(kRecordFile), kRecordBytesMax);
  const auto manifest = co_await read_file_if_there(item, "manifest.ocdbt", kManifestBytesMax);
  if (!text || !manifest) co_return;
  auto take = [this, &item, &text, &manifest] {
    CairnRecord record = decode_record(*text);
    if (record.manifest_hash != content_hash(*manifest) || !record.chunks) return;  // rewritten
    if (!holds_together(*record.chunks)) {
      trouble_ = join_path(item->path, std::string(kRecordFile)) +
                 ": chunks lie outside the files that it names";
      return;
    }
    record_ = std::move(record);
    match_arrays();
    live_ = live_bytes();
    number_of_file_.assign(live_.size(), std::nullopt);
  };
  co_await engine::async_run(item->engine->cpu(), std::move(take), asio::use_awaitable);
}

void LinkSource::match_arrays() {
  std::unordered_map<std::string_view, const ArrayTrace*> traces;
  for (const ArrayTrace& array : record_.chunks->arrays) traces.emplace(array.array, &array);
  std::unordered_map<std::string_view, const ChunkChecksums*> checksums;
  for (const ChunkChecksums& array : record_.chunk_checksums) {
    checksums.emplace(array.array, &array);
  }
  std::vector<ContentHash> metadata;
  metadata.reserve(layout_.arrays.size());
  for (const ArrayLayout& array : layout_.arrays) metadata.push_back(hash_of(bytes_of(array.text)));
  array_of_leaf_.assign(layout_.leaves.size(), nullptr);
  checksums_of_leaf_.assign(layout_.leaves.size(), nullptr);
  for (std::size_t leaf = 0; leaf < layout_.leaves.size(); ++leaf) {
    const PlannedLeaf& planned = layout_.leaves[leaf];
    const ArrayLayout& array = layout_.arrays[planned.layout];
    const auto found = traces.find(planned.name);
    if (found == traces.end() || found->second->metadata != metadata[planned.layout] ||
        found->second->chunks.size() != array.chunks) {
      continue;
    }
    if (!zarr::has_checksum(array.metadata)) {
      const auto sums = checksums.find(planned.name);
      if (sums == checksums.end() || sums->second->crc32c.size() != array.chunks) continue;
      checksums_of_leaf_[leaf] = sums->second;
    }
    array_of_leaf_[leaf] = found->second;
  }
}

std::vector<std::uint64_t> LinkSource::live_bytes() const {
  std::vector<std::uint64_t> live(record_.chunks->files.size());
  for (const ArrayTrace& array : record_.chunks->arrays) {
    for (const ChunkTrace& chunk : array.chunks) {
      if (chunk.length > 0) live[chunk.file] += chunk.length;
    }
  }
  return live;
}

Task<std::optional<FileId>> LinkSource::try_link(FolderPtr from, FolderPtr to, std::string name,
                                                 std::uint64_t bytes) {
  auto [error] = co_await from->handle.async_link(name, to->handle, name, kAsTuple);
  if (error) {
    // EXDEV, EMLINK, EPERM, no such call, no such file: the chunks are written instead.
    if (error == boost::asio::error::operation_aborted) {
      raise_failure(error, "link", join_path(to->path, name));
    }
    trouble_ = "cannot link " + join_path(from->path, name) + ": " + error.message();
    co_return std::nullopt;
  }
  const std::optional<engine::FileStatus> status = co_await find_status(to, name);
  if (!status || status->type != engine::FileType::regular || status->size < bytes) {
    trouble_ = join_path(from->path, name) + " is no file, or shorter than its record says";
    co_return std::nullopt;
  }
  const FileId id(*status);
  if (synced_.contains(item_, id)) co_return id;
  auto [open_error, file] = co_await to->handle.async_open_file(name, engine::OpenMode::read,
                                                                engine::DirectIo::off, kAsTuple);
  engine::error_code failed = open_error;
  if (!failed) {
    auto [sync_error] = co_await file.async_sync(kAsTuple);
    failed = sync_error;
  }
  beat(to);
  if (!failed) co_return id;
  if (failed == boost::asio::error::operation_aborted) {
    raise_failure(failed, "sync", join_path(to->path, name));
  }
  // What it holds is not certain any more.
  trouble_ = "cannot sync " + join_path(from->path, name) + ": " + failed.message();
  co_return std::nullopt;
}

Task<void> LinkSource::link(FolderPtr from, DataFiles* files, std::size_t file) {
  const DataFileRecord& record = record_.chunks->files[file];
  const std::string name = record.path.substr(2);
  const std::optional<FileId> id = co_await try_link(from, files->folder(), name, record.bytes);
  if (!id) {
    co_await remove_tree(files->folder(), name);  // an answer alone may have been lost
    co_return;
  }
  ++linked_;
  number_of_file_[file] = files->add_linked(record.path, record.bytes, record.age + 1, *id);
}

Task<std::string> LinkSource::open(FolderPtr root, StepRules rules, DataFiles* files,
                                   std::int64_t max_link_age) {
  FolderPtr data;
  try {
    const std::vector<ListedStep> steps = co_await list_committed_steps(root, rules);
    if (steps.empty()) co_return trouble_;
    const FolderPtr folder = co_await open_subfolder(root, steps.back().name + "/" + item_);
    co_await read(folder);
    if (record_.chunks) data = co_await open_subfolder(folder, "d");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) trouble_ = error.what();
  } catch (const FormatError& error) {
    trouble_ = error.what();
  }
  if (data) co_await link_all(data, files, max_link_age);
  co_return trouble_;
}

// By itself: a nursery begins in a coroutine that has not been cancelled.
Task<void> LinkSource::link_all(FolderPtr data, DataFiles* files, std::int64_t max_link_age) {
  engine::Nursery links(data->engine->executor());
  for (std::size_t file = 0; file < live_.size(); ++file) {
    const DataFileRecord& record = record_.chunks->files[file];
    const bool young = static_cast<std::int64_t>(record.age) < max_link_age;
    const bool worth =
        static_cast<double>(live_[file]) >= kLiveShareMin * static_cast<double>(record.bytes);
    if (!young || !worth || live_[file] == 0 || !is_data_path(record.path)) continue;
    links.spawn(link(data, files, file));
    if (!co_await links.wait_below(kLinksInFlight - 1)) break;
  }
  co_await links.join();
}

const ChunkTrace* LinkSource::trace(const ChunkPlace& place) const {
  if (array_of_leaf_.empty() || array_of_leaf_[place.leaf] == nullptr) return nullptr;
  return &array_of_leaf_[place.leaf]->chunks[place.chunk];
}

std::optional<StoredChunk> LinkSource::find(const ChunkPlace& place,
                                            const ContentHash& hash) const {
  const ChunkTrace* const known = trace(place);
  if (known == nullptr || known->length == 0 || known->hash != hash) return std::nullopt;
  const std::optional<std::uint32_t> file = number_of_file_[known->file];
  if (!file) return std::nullopt;
  StoredChunk stored;
  stored.file = *file;
  stored.offset = known->offset;
  stored.length = known->length;
  stored.linked = true;
  if (const ChunkChecksums* sums = checksums_of_leaf_[place.leaf]) {
    stored.crc32c = sums->crc32c[place.chunk];
  }
  return stored;
}

}  // namespace cairn::internal
