#include <cairn/manager/internal/storage.h>
#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace cairn::internal {

std::string join_path(const std::string& directory, const std::string& name) {
  if (directory.empty()) return name;
  if (name.empty()) return directory;
  return directory.back() == '/' ? directory + name : directory + "/" + name;
}

Task<FolderPtr> open_folder(EnginePtr engine, std::string path, HeartPtr heart) {
  auto [error, handle] = co_await engine::Directory::async_open(engine, path, kAsTuple);
  if (heart) heart->beat();
  if (error) raise_failure(error, "open directory", path);
  co_return std::make_shared<Folder>(engine, std::move(handle), path, heart);
}

Task<FolderPtr> open_subfolder(FolderPtr parent, std::string name) {
  std::string path = join_path(parent->path, name);
  auto [error, handle] = co_await parent->handle.async_open_directory(name, kAsTuple);
  beat(parent);
  if (error) raise_open_failure(error, "open directory", path);
  co_return std::make_shared<Folder>(parent->engine, std::move(handle), path, parent->heart,
                                     parent->mode);
}

Task<void> make_directory(FolderPtr folder, std::string name) {
  const auto slash = name.rfind('/');
  if (slash != std::string::npos) {
    folder = co_await open_subfolder(folder, name.substr(0, slash));
    name.erase(0, slash + 1);
  }
  auto [error] = co_await folder->handle.async_make_directory(name, folder->mode, kAsTuple);
  beat(folder);
  if (error) raise_failure(error, "make directory", join_path(folder->path, name));
}

Task<FolderPtr> make_subfolder(FolderPtr parent, std::string name) {
  co_await make_directory(parent, name);
  co_return co_await open_subfolder(parent, name);
}

Task<FolderPtr> open_or_make_subfolder(FolderPtr parent, std::string name) {
  std::string path = join_path(parent->path, name);
  auto [error, handle] = co_await parent->handle.async_open_directory(name, kAsTuple);
  beat(parent);
  if (!error) {
    co_return std::make_shared<Folder>(parent->engine, std::move(handle), path, parent->heart,
                                       parent->mode);
  }
  if (engine::classify(error) != engine::ErrorKind::not_found) {
    raise_failure(error, "open directory", path);
  }
  auto [made] = co_await parent->handle.async_make_directory(name, parent->mode, kAsTuple);
  beat(parent);
  // Another process may have made it meanwhile; that is as good.
  if (made && engine::classify(made) != engine::ErrorKind::already_exists) {
    raise_failure(made, "make directory", path);
  }
  co_await sync_folder(parent);
  co_return co_await open_subfolder(parent, name);
}

Task<FolderPtr> make_folder_path(EnginePtr engine, std::string path, std::uint32_t mode) {
  auto [error, handle] = co_await engine::Directory::async_open(engine, path, kAsTuple);
  if (!error) co_return std::make_shared<Folder>(engine, std::move(handle), path, nullptr, mode);
  if (engine::classify(error) != engine::ErrorKind::not_found) {
    raise_failure(error, "open directory", path);
  }
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const auto slash = trimmed.rfind('/');
  std::string parent = slash == std::string::npos ? "."
                       : slash == 0               ? "/"
                                                  : trimmed.substr(0, slash);
  std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  if (name.empty()) raise_failure(error, "open directory", path);
  FolderPtr above = co_await make_folder_path(engine, parent, mode);
  FolderPtr made = co_await open_or_make_subfolder(above, name);
  made->path = path;
  co_return made;
}

Task<std::vector<engine::DirectoryEntry>> list_folder(FolderPtr folder) {
  auto [error, entries] = co_await folder->handle.async_list(kAsTuple);
  beat(folder);
  if (error) raise_failure(error, "list directory", folder->path);
  co_return std::move(entries);
}

Task<void> sync_folder(FolderPtr folder) {
  auto [error] = co_await folder->handle.async_sync(kAsTuple);
  beat(folder);
  if (error) raise_failure(error, "sync directory", folder->path);
}

Task<StatusResult> status_below(FolderPtr folder, std::string name) {
  StatusResult result;
  const auto slash = name.rfind('/');
  if (slash != std::string::npos) {
    // The engine opens beneath the directory only; a status it takes of its own entries.
    auto [error, handle] =
        co_await folder->handle.async_open_directory(name.substr(0, slash), kAsTuple);
    beat(folder);
    result.error = error;
    if (error) co_return result;
    folder = std::make_shared<Folder>(folder->engine, std::move(handle),
                                      join_path(folder->path, name.substr(0, slash)), folder->heart,
                                      folder->mode);
    name.erase(0, slash + 1);
  }
  auto [error, status] = co_await folder->handle.async_stat(name, kAsTuple);
  beat(folder);
  result.error = error;
  result.status = status;
  co_return result;
}

Task<std::optional<engine::FileStatus>> find_status(FolderPtr folder, std::string name) {
  const StatusResult found = co_await status_below(folder, name);
  if (!found.error) co_return found.status;
  if (engine::classify(found.error) == engine::ErrorKind::not_found) co_return std::nullopt;
  raise_failure(found.error, "look at", join_path(folder->path, name));
}

Task<void> rename_entry(FolderPtr folder, std::string from, std::string to) {
  auto [error] = co_await folder->handle.async_rename(from, folder->handle, to, kAsTuple);
  beat(folder);
  if (error) raise_failure(error, "rename to " + to, join_path(folder->path, from));
}

Task<void> move_entry(FolderPtr from, std::string name, FolderPtr to, std::string new_name) {
  auto [error] = co_await from->handle.async_rename(name, to->handle, new_name, kAsTuple);
  beat(from);
  if (error) {
    raise_failure(error, "move to " + join_path(to->path, new_name), join_path(from->path, name));
  }
}

Task<void> exchange_entries(FolderPtr folder, std::string a, std::string b) {
  auto [error] = co_await folder->handle.async_exchange(a, folder->handle, b, kAsTuple);
  beat(folder);
  if (error) raise_failure(error, "exchange with " + b, join_path(folder->path, a));
}

Task<FilePtr> open_file(FolderPtr folder, std::string name, engine::OpenMode mode,
                        engine::DirectIo direct) {
  std::string path = join_path(folder->path, name);
  auto [error, file] = co_await folder->handle.async_open_file(name, mode, direct, kAsTuple);
  beat(folder);
  if (error) raise_open_failure(error, mode == engine::OpenMode::read ? "open" : "create", path);
  co_return std::make_shared<OpenFile>(std::move(file), std::move(path), folder->heart);
}

Task<void> write_file(FolderPtr folder, std::string name, std::string bytes) {
  FilePtr file = co_await open_file(folder, name, engine::OpenMode::create, engine::DirectIo::off);
  co_await write_at(file, 0, std::as_bytes(std::span(bytes)));
  co_await sync_and_close(file);
}

Task<void> write_unsynced_file(FolderPtr folder, std::string name, std::string bytes) {
  FilePtr file = co_await open_file(folder, name, engine::OpenMode::create, engine::DirectIo::off);
  co_await write_at(file, 0, std::as_bytes(std::span(bytes)));
  auto [error] = co_await file->file.async_close(kAsTuple);
  beat(file);
  if (error) raise_failure(error, "close", file->path);
}

Task<std::optional<std::string>> read_file_if_there(FolderPtr folder, std::string name,
                                                    std::uint64_t most) {
  std::string path = join_path(folder->path, name);
  auto [error, handle] = co_await folder->handle.async_open_file(name, engine::OpenMode::read,
                                                                 engine::DirectIo::off, kAsTuple);
  beat(folder);
  if (error) {
    if (engine::classify(error) == engine::ErrorKind::not_found) co_return std::nullopt;
    raise_open_failure(error, "open", path);
  }
  auto file = std::make_shared<OpenFile>(std::move(handle), path, folder->heart);
  auto [stat_error, status] = co_await file->file.async_stat(kAsTuple);
  beat(file);
  if (stat_error) raise_failure(stat_error, "look at", path);
  if (status.size > most) {
    ErrorContext context;
    context.operation = "read";
    context.path = path;
    throw Error(ErrorCode::data_loss,
                "the file has " + std::to_string(status.size) + " bytes, at most " +
                    std::to_string(most) + " are allowed",
                context);
  }
  std::string bytes(status.size, '\0');
  co_await read_at(file, 0, std::as_writable_bytes(std::span(bytes)));
  co_return bytes;
}

Task<std::string> read_file(FolderPtr folder, std::string name, std::uint64_t most) {
  std::optional<std::string> bytes = co_await read_file_if_there(folder, name, most);
  if (!bytes) {
    ErrorContext context;
    context.operation = "open";
    context.path = join_path(folder->path, name);
    throw Error(ErrorCode::not_found, "no such file", context);
  }
  co_return std::move(*bytes);
}

Task<void> write_at(FilePtr file, std::uint64_t offset, std::span<const std::byte> bytes) {
  auto [error, written] = co_await file->file.async_write_at(offset, bytes, kAsTuple);
  beat(file);
  if (error) raise_failure(error, "write", file->path, offset + written);
}

Task<std::size_t> read_some_at(FilePtr file, std::uint64_t offset, std::span<std::byte> bytes) {
  auto [error, count] = co_await file->file.async_read_at(offset, bytes, kAsTuple);
  beat(file);
  if (error) raise_failure(error, "read", file->path, offset + count);
  co_return count;
}

Task<void> read_at(FilePtr file, std::uint64_t offset, std::span<std::byte> bytes) {
  const std::size_t count = co_await read_some_at(file, offset, bytes);
  if (count == bytes.size()) co_return;
  ErrorContext context;
  context.operation = "read";
  context.path = file->path;
  context.offset = offset;
  throw Error(ErrorCode::data_loss,
              "the file ends after byte " + std::to_string(offset + count) + ", " +
                  std::to_string(bytes.size()) + " bytes were expected here",
              context);
}

Task<void> sync_and_close(FilePtr file) {
  auto [sync_error] = co_await file->file.async_sync(kAsTuple);
  beat(file);
  if (sync_error) raise_failure(sync_error, "sync", file->path);
  auto [close_error] = co_await file->file.async_close(kAsTuple);
  beat(file);
  if (close_error) raise_failure(close_error, "close", file->path);
}

}  // namespace cairn::internal
