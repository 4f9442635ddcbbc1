// Removing a directory and all below it, many entries at once.

#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/pause_gate.h>
#include <cairn/manager/internal/storage.h>

namespace cairn::internal {
namespace {

/// Operations under way where nobody says how many.
constexpr std::size_t kSideBySide = 16;

/// The operations under way share one window. A directory gives its place back while it waits for
/// what is below it, so that a deep tree cannot wait for itself. Directories are removed side by
/// side on the first level only: the deeper ones would hold descriptors by the power of the depth.
struct Removal {
  Removal(std::size_t n, PauseGatePtr g) : side_by_side(n), window(n), gate(std::move(g)) {}
  const std::size_t side_by_side;
  engine::AsyncSemaphore window;
  const PauseGatePtr gate;  ///< may be null
};
using RemovalPtr = std::shared_ptr<Removal>;

Task<engine::Permit> take_place(RemovalPtr removal, std::string path) {
  if (removal->gate) co_await removal->gate->pass();
  auto [error, permit] = co_await removal->window.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait to remove", path);
  co_return std::move(permit);
}

Task<void> remove_file(RemovalPtr removal, FolderPtr parent, std::string name) {
  const std::string path = join_path(parent->path, name);
  const engine::Permit place = co_await take_place(removal, path);
  auto [error] = co_await parent->handle.async_unlink(name, kAsTuple);
  beat(parent);
  if (error && engine::classify(error) != engine::ErrorKind::not_found) {
    raise_failure(error, "remove", path);
  }
}

Task<void> remove_directory(RemovalPtr removal, FolderPtr parent, std::string name, bool top);

/// What is in the directory; none where the directory is not there.
struct Content {
  Content() = default;
  FolderPtr folder;
  std::vector<engine::DirectoryEntry> entries;
};

Task<Content> read_directory(RemovalPtr removal, FolderPtr parent, std::string name) {
  Content content;
  const std::string path = join_path(parent->path, name);
  const engine::Permit place = co_await take_place(removal, path);
  auto [error, handle] = co_await parent->handle.async_open_directory(name, kAsTuple);
  beat(parent);
  if (error) {
    if (engine::classify(error) == engine::ErrorKind::not_found) co_return content;
    raise_failure(error, "open directory", path);
  }
  content.folder = std::make_shared<Folder>(parent->engine, std::move(handle), path, parent->heart);
  content.entries = co_await list_folder(content.folder);
  co_return content;
}

Task<void> remove_entries(RemovalPtr removal, Content content, bool top) {
  engine::Nursery nursery(content.folder->engine->executor());
  for (const engine::DirectoryEntry& entry : content.entries) {
    const bool directory = entry.type == engine::FileType::directory;
    if (directory) {
      nursery.spawn(remove_directory(removal, content.folder, entry.name, false));
    } else {
      nursery.spawn(remove_file(removal, content.folder, entry.name));
    }
    const std::size_t limit = directory && !top ? 0 : removal->side_by_side;
    const bool well = co_await nursery.wait_below(limit);
    if (!well) break;
  }
  co_await nursery.join();
}

Task<void> remove_directory(RemovalPtr removal, FolderPtr parent, std::string name, bool top) {
  Content content = co_await read_directory(removal, parent, name);
  if (!content.folder) co_return;
  const std::string path = content.folder->path;
  co_await remove_entries(removal, std::move(content), top);
  const engine::Permit place = co_await take_place(removal, path);
  auto [error] = co_await parent->handle.async_remove_directory(name, kAsTuple);
  beat(parent);
  if (error && engine::classify(error) != engine::ErrorKind::not_found) {
    raise_failure(error, "remove directory", path);
  }
}

}  // namespace

Task<void> remove_tree(FolderPtr parent, std::string name, std::size_t side_by_side,
                       PauseGatePtr gate) {
  // Asked first, because opening would follow a symlink: the entry itself goes, never what it
  // names.
  const std::optional<engine::FileStatus> status = co_await find_status(parent, name);
  if (!status) co_return;
  const std::size_t at_once = side_by_side == 0 ? kSideBySide : side_by_side;
  const auto removal = std::make_shared<Removal>(at_once, std::move(gate));
  if (status->type == engine::FileType::directory) {
    co_await remove_directory(removal, parent, name, true);
  } else {
    co_await remove_file(removal, parent, name);
  }
}

}  // namespace cairn::internal
