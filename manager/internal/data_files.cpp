#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/data_files.h>
#include <cairn/manager/internal/random.h>

#include <algorithm>
#include <cassert>

namespace cairn::internal {
namespace {

/// Extents handed to the kernel at once: enough to keep a disk busy, few enough that a failing save
/// drains quickly.
constexpr std::size_t kWritesInFlight = 8;

}  // namespace

std::string data_file_name() {
  constexpr std::size_t kNameBytes = 16;
  return random_hex(kNameBytes);
}

DataFiles::DataFiles(EnginePtr engine, FolderPtr folder, std::uint64_t open_bytes,
                     std::uint64_t bytes_max)
    : engine_(std::move(engine)),
      folder_(std::move(folder)),
      open_bytes_(open_bytes),
      bytes_max_(bytes_max),
      slots_(kWritesInFlight) {}

std::uint64_t DataFiles::written_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const DataFileState& state : states_) bytes += state.linked ? 0 : state.bytes;
  return bytes;
}

Task<void> DataFiles::make_file(std::uint32_t* number, FilePtr* file) {
  const std::string name = data_file_name();
  *file = co_await open_file(folder_, name, engine::OpenMode::create, engine_->direct_io());
  *number = static_cast<std::uint32_t>(states_.size());
  DataFileState state;
  state.path = "d/" + name;
  states_.push_back(std::move(state));
  handles_.push_back(*file);
}

Task<void> DataFiles::open_fixed(std::uint64_t bytes) {
  assert(states_.empty());
  std::uint32_t number = 0;
  FilePtr file;
  co_await make_file(&number, &file);
  states_[number].bytes = bytes;
  auto [error] = co_await file->file.async_allocate(bytes, kAsTuple);
  if (error) raise_failure(error, "reserve " + std::to_string(bytes) + " bytes", file->path);
}

Task<void> DataFiles::write(FilePtr file, std::uint64_t offset, std::span<const std::byte> bytes) {
  auto [error, permit] = co_await slots_.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait for a write", file->path);
  co_await write_at(file, offset, bytes);
}

Task<void> DataFiles::write_fixed(std::uint64_t offset, std::span<const std::byte> bytes) {
  co_await write(handles_.front(), offset, bytes);
}

Task<void> DataFiles::grow(Growing* growing, std::uint64_t end) {
  const std::uint64_t step = std::clamp(growing->reserved, kReserveBytesMin, kReserveBytesMax);
  const std::uint64_t most = std::max(end, std::min(open_bytes_, bytes_max_));
  const std::uint64_t target = std::min(end + step, most);
  auto [error] = co_await growing->file->file.async_allocate(target, kAsTuple);
  std::uint64_t reserved = target;
  if (error && engine::classify(error) == engine::ErrorKind::no_space && target > end) {
    // It may still fit: only what is certain to be written is asked for.
    auto [again] = co_await growing->file->file.async_allocate(end, kAsTuple);
    error = again;
    reserved = end;
  }
  if (error) {
    raise_failure(error, "reserve " + std::to_string(reserved) + " bytes", growing->file->path);
  }
  growing->reserved = reserved;
}

Task<FilePlace> DataFiles::reserve(FileClass kind, std::uint64_t bytes) {
  Growing* const growing = &growing_[static_cast<std::size_t>(kind)];
  auto [error, permit] = co_await growing->turn.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait for a place", folder_->path);
  if (growing->file && growing->end > 0 && growing->end + bytes > bytes_max_) {
    full_.emplace_back(growing->number, growing->reserved > growing->end);
    growing->file.reset();
    growing->end = 0;
    growing->reserved = 0;
  }
  if (!growing->file) co_await make_file(&growing->number, &growing->file);
  if (growing->end + bytes > growing->reserved) co_await grow(growing, growing->end + bytes);
  FilePlace place;
  place.file = growing->number;
  place.offset = growing->end;
  growing->end += bytes;
  states_[growing->number].bytes = growing->end;
  co_return place;
}

Task<FilePlace> DataFiles::append(FileClass kind, std::span<const std::byte> bytes) {
  assert(bytes.size() % kFileAlignment == 0);
  const FilePlace place = co_await reserve(kind, bytes.size());
  co_await write(handles_[place.file], place.offset, bytes);
  co_return place;
}

std::uint32_t DataFiles::add_linked(std::string path, std::uint64_t bytes, std::uint32_t age) {
  DataFileState state;
  state.path = std::move(path);
  state.bytes = bytes;
  state.age = age;
  state.linked = true;
  states_.push_back(std::move(state));
  handles_.emplace_back();
  return static_cast<std::uint32_t>(states_.size() - 1);
}

Task<void> DataFiles::close_growing(FilePtr file, std::uint64_t end, bool cut) {
  if (cut) {
    auto [error] = co_await file->file.async_truncate(end, kAsTuple);
    if (error) raise_failure(error, "cut to " + std::to_string(end) + " bytes", file->path);
  }
  co_await sync_and_close(file);
}

Task<void> DataFiles::finish() {
  for (Growing& growing : growing_) {
    if (!growing.file) continue;
    full_.emplace_back(growing.number, growing.reserved > growing.end);
    growing.file.reset();
  }
  // Side by side, so that the file system can sync them in one transaction of its journal.
  engine::Nursery files(engine_->executor());
  for (const auto& [number, cut] : full_) {
    files.spawn(
        close_growing(std::exchange(handles_[number], nullptr), states_[number].bytes, cut));
  }
  for (FilePtr& handle : handles_) {
    if (handle) files.spawn(sync_and_close(std::exchange(handle, nullptr)));
  }
  co_await files.join();
}

}  // namespace cairn::internal
