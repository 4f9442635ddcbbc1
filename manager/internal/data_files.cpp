#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/data_files.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/random.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace cairn::internal {
namespace {

/// What is handed to the kernel at once: enough to keep a disk busy, little enough that a failing
/// save drains quickly. Bytes, as extents may be small; and so many of these at most.
constexpr std::size_t kBytesInFlight = 8 * kChunkBytes;
constexpr std::size_t kWritesInFlight = 64;
static_assert(kBytesInFlight % kWritesInFlight == 0);

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
      in_flight_(kBytesInFlight) {}

std::uint64_t DataFiles::written_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const DataFileState& state : states_) {
    if (!state.linked && !state.foreign) bytes += state.bytes;
  }
  return bytes;
}

Task<std::uint32_t> DataFiles::make_file() {
  const std::string name = data_file_name();
  OpenData data;
  data.file = co_await open_file(folder_, name, engine::OpenMode::create, engine_->direct_io());
  DataFileState state;
  state.path = "d/" + name;
  states_.push_back(std::move(state));
  open_.push_back(std::move(data));
  co_return static_cast<std::uint32_t>(states_.size() - 1);
}

Task<void> DataFiles::open_fixed(std::uint64_t bytes) {
  assert(states_.empty());
  const std::uint32_t number = co_await make_file();
  states_[number].bytes = bytes;
  const FilePtr file = open_[number].file;
  auto [error] = co_await file->file.async_allocate(bytes, kAsTuple);
  if (error) raise_failure(error, "reserve " + std::to_string(bytes) + " bytes", file->path);
  open_[number].reserved = bytes;
}

Task<void> DataFiles::write(FilePtr file, std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::size_t share =
      std::clamp<std::size_t>(bytes.size(), kBytesInFlight / kWritesInFlight, kBytesInFlight);
  auto [error, permit] = co_await in_flight_.async_acquire(share, kAsTuple);
  if (error) raise_failure(error, "wait for a write", file->path);
  co_await write_at(file, offset, bytes);
}

Task<void> DataFiles::write_fixed(std::uint64_t offset, std::span<const std::byte> bytes) {
  co_await write(open_.front().file, offset, bytes);
}

Task<void> DataFiles::cut(std::uint32_t number) {
  const FilePtr file = open_[number].file;
  const std::uint64_t end = states_[number].bytes;
  auto [error] = co_await file->file.async_truncate(end, kAsTuple);
  if (error) raise_failure(error, "cut to " + std::to_string(end) + " bytes", file->path);
  open_[number].reserved = end;
}

Task<bool> DataFiles::allocate(std::uint32_t number, std::uint64_t bytes) {
  const FilePtr file = open_[number].file;
  auto [error] = co_await file->file.async_allocate(bytes, kAsTuple);
  if (!error) {
    open_[number].reserved = bytes;
    co_return true;
  }
  if (engine::classify(error) != engine::ErrorKind::no_space) {
    raise_failure(error, "reserve " + std::to_string(bytes) + " bytes", file->path);
  }
  // What there was it may have got all the same, and other files need some of it.
  co_await cut(number);
  co_return false;
}

Task<void> DataFiles::grow(std::uint32_t number, std::uint64_t end) {
  const std::uint64_t most = std::max(end, std::min(open_bytes_, bytes_max_));
  if (open_[number].reserved == 0 && expected_bytes_ > end) {
    const std::uint64_t whole = std::min(expected_bytes_, most);
    // Where it does not fit it may still do when it is encoded.
    if (co_await allocate(number, whole)) co_return;
  }
  const std::uint64_t step = std::clamp(open_[number].reserved, kReserveBytesMin, kReserveBytesMax);
  const std::uint64_t ahead = std::min(end + step, most);
  if (ahead > end && co_await allocate(number, ahead)) co_return;
  // Only what is certain to be written.
  if (co_await allocate(number, end)) co_return;
  raise_failure(engine::error_code(ENOSPC, boost::system::system_category()),
                "reserve " + std::to_string(end) + " bytes", open_[number].file->path);
}

Task<FilePlace> DataFiles::reserve(FileClass kind, std::uint64_t bytes) {
  Growing* const growing = &growing_[static_cast<std::size_t>(kind)];
  auto [error, permit] = co_await growing->turn.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait for a place", folder_->path);
  if (growing->number) {
    const std::uint64_t used = states_[*growing->number].bytes;
    if (used > 0 && used + bytes > bytes_max_) {
      full_.push_back(*growing->number);
      growing->number.reset();
    }
  }
  if (!growing->number) growing->number = co_await make_file();
  const std::uint32_t number = *growing->number;
  const std::uint64_t end = states_[number].bytes + bytes;
  if (end > open_[number].reserved) co_await grow(number, end);
  FilePlace place;
  place.file = number;
  place.offset = states_[number].bytes;
  states_[number].bytes = end;
  ++open_[number].writes;
  co_return place;
}

Task<FilePlace> DataFiles::append(FileClass kind, std::span<const std::byte> bytes) {
  assert(bytes.size() % kFileAlignment == 0);
  const FilePlace place = co_await reserve(kind, bytes.size());
  const FilePtr file = open_[place.file].file;
  co_await write(file, place.offset, bytes);
  --open_[place.file].writes;
  co_await close_full();
  co_return place;
}

std::uint32_t DataFiles::add_linked(std::string path, std::uint64_t bytes, std::uint32_t age,
                                    FileId id) {
  DataFileState state;
  state.path = std::move(path);
  state.bytes = bytes;
  state.age = age;
  state.linked = true;
  state.id = id;
  states_.push_back(std::move(state));
  open_.emplace_back();
  return static_cast<std::uint32_t>(states_.size() - 1);
}

std::uint32_t DataFiles::add_foreign(std::string path, std::uint64_t bytes) {
  DataFileState state;
  state.path = std::move(path);
  state.bytes = bytes;
  state.foreign = true;
  states_.push_back(std::move(state));
  open_.emplace_back();
  return static_cast<std::uint32_t>(states_.size() - 1);
}

Task<void> DataFiles::close(std::uint32_t number) {
  if (open_[number].reserved > states_[number].bytes) co_await cut(number);
  const FilePtr file = std::exchange(open_[number].file, nullptr);
  auto [error, status] = co_await file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", file->path);
  states_[number].id = FileId(status);
  co_await sync_and_close(file);
}

Task<void> DataFiles::close_full() {
  for (;;) {
    const auto idle = std::ranges::find_if(
        full_, [this](std::uint32_t number) { return open_[number].writes == 0; });
    if (idle == full_.end()) co_return;
    const std::uint32_t number = *idle;
    full_.erase(idle);  // nobody else closes it
    co_await close(number);
  }
}

Task<void> DataFiles::finish() {
  assert(full_.empty());
  // Side by side, so that the file system can sync them in one transaction of its journal.
  engine::Nursery files(engine_->executor());
  for (std::uint32_t number = 0; number < open_.size(); ++number) {
    if (open_[number].file) files.spawn(close(number));
  }
  co_await files.join();
}

}  // namespace cairn::internal
