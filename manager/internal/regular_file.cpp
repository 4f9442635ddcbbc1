#include <cairn/manager/internal/regular_file.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cairn::internal {
namespace {

constexpr std::size_t kReadBytes = 4u << 20;
// What direct I/O needs where the kernel does not say.
constexpr std::uint32_t kDefaultDirectAlignment = 4096;

[[noreturn]] void refuse(std::string reason, std::string path, std::string remedy = "") {
  ErrorContext context;
  context.operation = "open";
  context.path = std::move(path);
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::invalid_argument, std::move(reason), context);
}

std::string full_path(const FolderPtr& folder, const std::string& name) {
  return folder ? join_path(folder->path, name) : name;
}

engine::IoRequest open_request(const FolderPtr& folder, const std::string& name, LookUp look_up,
                               int flags) {
  engine::IoRequest request(engine::IoOp::open);
  request.fd = folder ? folder->handle.fd() : AT_FDCWD;
  request.path = name;
  request.flags = flags | O_CLOEXEC;
  request.beneath = look_up == LookUp::beneath;
  return request;
}

/// A descriptor; none where `flags` have O_DIRECT and the file system refuses that.
Task<engine::Descriptor> open_descriptor(EnginePtr engine, FolderPtr folder, std::string name,
                                         LookUp look_up, int flags) {
  engine::IoRequest request = open_request(folder, name, look_up, flags);
  auto [error, result] = co_await engine::async_io(engine, std::move(request), kAsTuple);
  if (!error) co_return engine::Descriptor(static_cast<int>(result.value));
  if ((flags & O_DIRECT) != 0 && error.value() == EINVAL) co_return engine::Descriptor();
  const std::string path = full_path(folder, name);
  if (look_up == LookUp::beneath && (error.value() == EXDEV || error.value() == ELOOP)) {
    refuse("a link that leaves the directory", path,
           "Allow it to be followed (follow_links, --follow-links), or copy the file");
  }
  raise_failure(error, "open", path);
}

Task<engine::FileStatus> status_of(EnginePtr engine, int fd, std::string path) {
  engine::IoRequest request(engine::IoOp::stat);
  request.fd = fd;
  auto [error, result] = co_await engine::async_io(engine, std::move(request), kAsTuple);
  if (error) raise_failure(error, "look at", path);
  co_return result.status;
}

std::uint32_t direct_alignment(const engine::FileStatus& status) {
  const std::uint32_t told =
      std::max(status.direct_memory_alignment, status.direct_offset_alignment);
  return told == 0 ? kDefaultDirectAlignment : told;
}

}  // namespace

Task<engine::FileType> type_of_path(EnginePtr engine, FolderPtr folder, std::string name,
                                    LookUp look_up) {
  const engine::Descriptor fd = co_await open_descriptor(engine, folder, name, look_up, O_PATH);
  const engine::FileStatus status = co_await status_of(engine, fd.get(), full_path(folder, name));
  co_return status.type;
}

Task<RegularFile> open_regular_file(EnginePtr engine, FolderPtr folder, std::string name,
                                    LookUp look_up, engine::DirectIo direct) {
  const std::string path = full_path(folder, name);
  // Asked first, and again of what was opened: opening a FIFO would wait for its writer.
  if (co_await type_of_path(engine, folder, name, look_up) != engine::FileType::regular) {
    refuse("not a regular file", path);
  }
  engine::Descriptor fd;
  bool is_direct = direct != engine::DirectIo::off;
  if (is_direct) {
    fd = co_await open_descriptor(engine, folder, name, look_up, O_RDONLY | O_DIRECT);
    if (!fd && direct == engine::DirectIo::required) {
      raise_failure(engine::make_error_code(engine::Errc::direct_io_unavailable), "open", path);
    }
  }
  if (!fd) {
    is_direct = false;
    fd = co_await open_descriptor(engine, folder, name, look_up, O_RDONLY);
  }
  engine::FileStatus status = co_await status_of(engine, fd.get(), path);
  if (status.type != engine::FileType::regular) refuse("not a regular file", path);
  std::uint32_t alignment = is_direct ? direct_alignment(status) : 1;
  if (alignment > engine::kBufferAlignment) {
    // The arenas' buffers could not serve such a file.
    if (direct == engine::DirectIo::required) {
      raise_failure(engine::make_error_code(engine::Errc::direct_io_unavailable), "open", path);
    }
    is_direct = false;
    alignment = 1;
    fd = co_await open_descriptor(engine, folder, name, look_up, O_RDONLY);
    status = co_await status_of(engine, fd.get(), path);
  }
  engine->note_opened(is_direct);
  RegularFile opened;
  opened.size = status.size;
  opened.file =
      std::make_shared<OpenFile>(engine::File(engine, std::move(fd), is_direct, alignment), path);
  co_return opened;
}

Task<std::string> read_bytes(EnginePtr engine, FilePtr file, std::uint64_t offset,
                             std::size_t size) {
  const std::uint64_t alignment = file->file.alignment();
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const std::uint64_t at = offset + done;
    const std::uint64_t begin = at / alignment * alignment;
    const std::uint64_t last = std::min(offset + size, begin + kReadBytes);
    const std::uint64_t end = (last + alignment - 1) / alignment * alignment;
    auto [error, buffer] =
        co_await engine->window().async_acquire(end - begin, engine::ArenaUse::read, kAsTuple);
    if (error) raise_failure(error, "wait for memory", file->path);
    const std::size_t count = co_await read_some_at(file, begin, buffer.span().first(end - begin));
    if (begin + count < last) {
      ErrorContext context;
      context.operation = "read";
      context.path = file->path;
      context.offset = begin + count;
      throw Error(ErrorCode::data_loss, "the file was shortened while it was read", context);
    }
    std::memcpy(bytes.data() + done, buffer.data() + (at - begin), last - at);
    done += last - at;
  }
  co_return bytes;
}

}  // namespace cairn::internal
