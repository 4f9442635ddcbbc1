#include <cairn/manager/future.h>
#include <cairn/manager/internal/fork_guard.h>
#include <cairn/manager/internal/held_lock.h>

#include <new>
#include <utility>
#include <vector>

namespace cairn::internal {
namespace {

using Event = std::shared_ptr<impl::SharedState<void>>;

/// Unlocks under way in this process, by the path of the file. Under ForkGuard, so that a child
/// finds it unlocked.
std::vector<std::pair<std::string, Event>>& unlocks() {
  static auto* const instance = new std::vector<std::pair<std::string, Event>>();
  return *instance;
}

Event begin_unlock(const std::string& path) {
  auto ended = std::make_shared<impl::SharedState<void>>();
  const ForkGuard forks;
  unlocks().emplace_back(path, ended);
  return ended;
}

void end_unlock(const Event& ended) {
  {
    const ForkGuard forks;
    std::erase_if(unlocks(), [&](const auto& entry) { return entry.second == ended; });
  }
  ended->set(nullptr, impl::Unit());
}

std::vector<Event> unlocks_of(const std::string& path) {
  std::vector<Event> found;
  const ForkGuard forks;
  for (const auto& [name, ended] : unlocks()) {
    if (name == path) found.push_back(ended);
  }
  return found;
}

}  // namespace

HeldLock::HeldLock(FilePtr file) : file_(std::move(file)) {}

HeldLock::~HeldLock() {
  if (!file_) return;
  const int descriptor = file_->file.fd();
  if (locked_) {
    try {
      const Event ended = begin_unlock(file_->path);
      file_->file.async_unlock([held = file_, ended](engine::error_code) {
        ForkGuard().remove(held->file.fd());
        end_unlock(ended);
      });
      return;
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): closing unlocks it too
    }
  }
  ForkGuard().remove(descriptor);
}

Task<engine::error_code> HeldLock::lock(bool exclusive) {
  const std::vector<Event> under_way = unlocks_of(file_->path);
  for (const Event& event : under_way) {
    const Future<void> future(event);
    auto [ended] = co_await future.result(kAsTuple);
    static_cast<void>(ended);
  }
  auto [error] = co_await file_->file.async_lock(exclusive, kAsTuple);
  locked_ = !error;
  co_return error;
}

Task<void> HeldLock::unlock() {
  const FilePtr file = std::exchange(file_, nullptr);
  if (!file) co_return;
  const Event ended = begin_unlock(file->path);
  auto [error] = co_await file->file.async_unlock(kAsTuple);
  beat(file);
  ForkGuard().remove(file->file.fd());
  if (error) {
    // Closing unlocks it too, unless a child that has not run its fork handlers yet shares it.
    auto [ignored] = co_await file->file.async_close(kAsTuple);
    static_cast<void>(ignored);
  }
  end_unlock(ended);
}

Task<LockFile> open_lock_file(FolderPtr folder, std::string name, engine::OpenMode mode) {
  LockFile opened;
  while (!opened.lock) {
    const std::uint64_t before = ForkGuard().forks();
    auto [error, handle] =
        co_await folder->handle.async_open_file(name, mode, engine::DirectIo::off, kAsTuple);
    beat(folder);
    opened.error = error;
    if (error) co_return opened;
    auto file =
        std::make_shared<OpenFile>(std::move(handle), join_path(folder->path, name), folder->heart);
    ForkGuard forks;
    if (forks.forks() != before) continue;  // a child shares this one
    forks.add(file->file.fd());
    opened.lock = std::make_unique<HeldLock>(std::move(file));
  }
  co_return opened;
}

}  // namespace cairn::internal
