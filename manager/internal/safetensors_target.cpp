// Names: everything is written under temporary ones; they become the real ones when all is durable.

#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/random.h>
#include <cairn/manager/internal/safetensors_writer.h>

#include <algorithm>
#include <cerrno>

namespace cairn::internal {
namespace {

using safetensors::kFileSuffix;
using safetensors::kIndexSuffix;

/// One file on its way: its temporary name, then its real one.
struct NamedFile {
  NamedFile(std::string t, std::string n) : temporary(std::move(t)), name(std::move(n)) {}
  std::string temporary;
  std::string name;
  bool written = false;  ///< the temporary name may be there
  bool renamed = false;
};

/// What is written, and where to. Shared by the coroutines of one call.
struct Job {
  Job(EnginePtr e, Tree t, std::string p, SafetensorsWriteOptions o)
      : engine(std::move(e)), tree(std::move(t)), path(std::move(p)), options(std::move(o)) {}
  EnginePtr engine;
  Tree tree;
  std::string path;
  SafetensorsWriteOptions options;
  FolderPtr folder;
  std::string name;  ///< the last component of `path`
  std::string stem;  ///< the name without its suffix; empty where it has another
  bool had_file = false;
  bool had_index = false;
  std::vector<PlannedFile> plan;
  std::vector<NamedFile> files;  ///< as the plan has them; then the index, if any
  [[nodiscard]] bool sharded() const { return plan.size() > 1; }
  [[nodiscard]] std::string index_name() const { return stem + std::string(kIndexSuffix); }
};
using JobPtr = std::shared_ptr<Job>;

Error make_error(ErrorCode code, std::string reason, std::string path, std::string remedy = "") {
  ErrorContext context;
  context.path = std::move(path);
  context.remedy = std::move(remedy);
  return Error(code, std::move(reason), context);
}

Error exists(const Job& job, const std::string& name) {
  return make_error(ErrorCode::already_exists, "the file is there already",
                    join_path(job.folder->path, name),
                    "Give overwrite (--force) to replace it, or another name");
}

std::string temporary_name() {
  constexpr std::size_t kRandomBytes = 8;
  return ".cairn-export-" + random_hex(kRandomBytes);
}

/// Replacing takes the name from what has it: only a file may lose it to a file.
void refuse_other_than_file(engine::FileType type, const std::string& path) {
  switch (type) {
    case engine::FileType::regular:
      return;
    case engine::FileType::directory:
      throw make_error(ErrorCode::invalid_argument, "is a directory", path, "Name a file");
    case engine::FileType::symlink:
      throw make_error(ErrorCode::invalid_argument, "is a symbolic link, which is not replaced",
                       path, "Name what it leads to, or another file");
    case engine::FileType::other:
      throw make_error(ErrorCode::invalid_argument, "is a FIFO, socket or device, not a file", path,
                       "Name a file");
  }
}

/// Whether a file of that name is there.
Task<bool> look_for(JobPtr job, std::string name) {
  const std::optional<engine::FileStatus> status = co_await find_status(job->folder, name);
  if (!status) co_return false;
  refuse_other_than_file(status->type, join_path(job->folder->path, name));
  if (!job->options.overwrite) throw exists(*job, name);
  co_return true;
}

/// Opens the directory and sees what is there, in either form.
Task<void> open_target(JobPtr job) {
  const auto slash = job->path.rfind('/');
  const bool plain = slash == std::string::npos;
  job->name = plain ? job->path : job->path.substr(slash + 1);
  if (job->name.empty()) {
    throw make_error(ErrorCode::invalid_argument, "is a directory", job->path, "Name a file");
  }
  if (job->name.ends_with(kFileSuffix)) {
    job->stem = job->name.substr(0, job->name.size() - kFileSuffix.size());
  } else if (job->options.max_shard_bytes != 0) {
    throw make_error(ErrorCode::invalid_argument,
                     "several files are named after one that ends with .safetensors", job->path,
                     "Give such a name, or no limit for a file");
  }
  const std::string parent = plain ? "." : slash == 0 ? "/" : job->path.substr(0, slash);
  job->folder = co_await open_folder(job->engine, parent);
  job->had_file = co_await look_for(job, job->name);
  if (!job->stem.empty()) job->had_index = co_await look_for(job, job->index_name());
}

void name_files(Job& job) {
  const std::size_t count = job.plan.size();
  for (std::size_t i = 0; i < count; ++i) {
    job.files.emplace_back(temporary_name(),
                           count == 1 ? job.name : safetensors::shard_name(job.stem, i + 1, count));
  }
}

/// Writes one file under its temporary name, synced.
Task<void> write_one(JobPtr job, std::size_t index) {
  NamedFile& named = job->files[index];
  // Before it is there: an open may fail after it has made the file.
  named.written = true;
  FilePtr file = co_await open_file(job->folder, named.temporary, engine::OpenMode::create,
                                    job->engine->direct_io());
  // Messages are for people who know the file by its real name.
  file->path = join_path(job->folder->path, named.name);
  co_await write_planned(job->engine, file, &job->plan[index]);
}

std::string index_text(const Job& job) {
  safetensors::ShardIndex index;
  index.total_size = 0;
  for (std::size_t i = 0; i < job.plan.size(); ++i) {
    *index.total_size += job.plan[i].data_bytes;
    for (const PlannedTensor& tensor : job.plan[i].tensors) {
      index.weight_map.emplace_back(tensor.name, job.files[i].name);
    }
  }
  return safetensors::encode_index(index);
}

Task<void> write_all(JobPtr job, std::string index) {
  for (std::size_t i = 0; i < job->plan.size(); ++i) {
    if (job->sharded()) static_cast<void>(co_await look_for(job, job->files[i].name));
    co_await write_one(job, i);
  }
  if (!job->sharded()) co_return;
  NamedFile& named = job->files.emplace_back(temporary_name(), job->index_name());
  named.written = true;
  co_await write_file(job->folder, named.temporary, std::move(index));
}

Task<void> take_name(JobPtr job, NamedFile* file) {
  engine::Directory& folder = job->folder->handle;
  engine::IoRequest request(job->options.overwrite ? engine::IoOp::replace : engine::IoOp::rename);
  request.fd = request.fd2 = folder.fd();
  request.path = file->temporary;
  request.path2 = file->name;
  auto [error, result] = co_await engine::async_io(job->engine, std::move(request), kAsTuple);
  if (error.value() == EINVAL && !job->options.overwrite) {
    // A hard link does not replace either, and is known to older file systems.
    auto [linked] = co_await folder.async_link(file->temporary, folder, file->name, kAsTuple);
    error = linked;
    if (!linked) {
      file->renamed = true;
      auto [unlinked] = co_await folder.async_unlink(file->temporary, kAsTuple);
      error = unlinked;
    }
  }
  if (engine::classify(error) == engine::ErrorKind::already_exists) throw exists(*job, file->name);
  if (error) raise_failure(error, "rename", join_path(job->folder->path, file->name));
  file->renamed = true;
  file->written = false;
}

/// Takes away what an older checkpoint of this name left beside the new one.
Task<void> remove_older(JobPtr job) {
  const bool file_is_old = job->had_file && job->sharded();
  const bool index_is_old = job->had_index && !job->sharded();
  if (file_is_old) co_await remove_tree(job->folder, job->name);
  if (index_is_old) co_await remove_tree(job->folder, job->index_name());
  if (file_is_old || index_is_old) co_await sync_folder(job->folder);
  if (!job->had_index) co_return;
  // Shards that no index names; should they come back, they mislead nobody.
  const auto entries = co_await list_folder(job->folder);
  for (const engine::DirectoryEntry& entry : entries) {
    const auto shard = safetensors::parse_shard_name(entry.name);
    if (!shard || shard->stem != job->stem || entry.type != engine::FileType::regular) continue;
    const bool ours =
        std::ranges::find(job->files, entry.name, &NamedFile::name) != job->files.end();
    if (!ours) co_await remove_tree(job->folder, entry.name);
  }
}

Task<void> commit(JobPtr job) {
  if (job->sharded() && job->had_index) {
    // The old index would lead to new shards under old names.
    co_await remove_tree(job->folder, job->index_name());
    co_await sync_folder(job->folder);
  }
  for (NamedFile& file : job->files) {
    // The index makes the shards a checkpoint: they are durable before it.
    if (job->sharded() && &file == &job->files.back()) co_await sync_folder(job->folder);
    co_await take_name(job, &file);
  }
}

/// The last step: what fails now leaves the files where they are.
Task<void> make_durable(JobPtr job) {
  auto [error] = co_await job->folder->handle.async_sync(kAsTuple);
  if (error) {
    throw make_error(ErrorCode::commit_unknown,
                     "the files are there, but may not survive a power loss: " + error.message(),
                     job->folder->path);
  }
  co_await remove_older(job);
}

/// Removes what was written, as well as it can.
Task<void> give_up(JobPtr job) {
  for (const NamedFile& file : job->files) {
    if (file.written) {
      static_cast<void>(co_await job->folder->handle.async_unlink(file.temporary, kAsTuple));
    }
    if (file.renamed) {
      static_cast<void>(co_await job->folder->handle.async_unlink(file.name, kAsTuple));
    }
  }
}

SafetensorsWritten describe(const Job& job, std::size_t index_bytes) {
  SafetensorsWritten written;
  const bool plain = job.path.find('/') == std::string::npos;
  for (const NamedFile& file : job.files) {
    written.files.push_back(join_path(plain ? "" : job.folder->path, file.name));
  }
  for (const PlannedFile& file : job.plan) {
    written.tensors += file.tensors.size();
    written.bytes += file.data_bytes;
    written.stored_bytes += file.size;
  }
  written.stored_bytes += index_bytes;
  return written;
}

}  // namespace

Task<SafetensorsWritten> write_files(EnginePtr engine, Tree tree, std::string path,
                                     SafetensorsWriteOptions options) {
  auto job = std::make_shared<Job>(engine, std::move(tree), std::move(path), std::move(options));
  co_await open_target(job);
  auto plan = [job] {
    job->plan = plan_safetensors(job->tree, job->options);
    name_files(*job);
    try {
      return job->sharded() ? index_text(*job) : std::string();
    } catch (const std::invalid_argument& error) {
      throw Error(ErrorCode::invalid_argument, error.what());
    }
  };
  std::string index =
      co_await engine::async_run(engine->cpu(), std::move(plan), asio::use_awaitable);
  const std::size_t index_bytes = index.size();
  std::exception_ptr failure;
  try {
    co_await write_all(job, std::move(index));
    co_await commit(job);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    co_await give_up(job);
    std::rethrow_exception(failure);
  }
  co_await make_durable(job);
  co_return describe(*job, index_bytes);
}

}  // namespace cairn::internal
