#pragma once
// The seam to the operating system. Every system call that touches a file goes through an
// IoBackend: `uring` and `threads` in production, `faulty` and `recording` around either in tests.
// All pass one conformance suite (tests/engine/io_backend_conformance_test.cpp).

#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::engine {

/// What a request asks for, with the members of IoRequest that count and what comes back.
enum class IoOp : std::uint8_t {
  open,            ///< fd (directory or AT_FDCWD), path, flags, mode, beneath -> value = descriptor
  close,           ///< fd
  read,            ///< fd, offset, buffer, length -> value = bytes, may be short
  write,           ///< fd, offset, buffer, length -> value = bytes, may be short
  allocate,        ///< fd, offset, length: reserves blocks (raw fallocate), grows the file
  truncate,        ///< fd, length
  sync_data,       ///< fd: fdatasync
  sync_all,        ///< fd: fsync; also for directories
  write_back,      ///< fd, offset, length: start write-back and drop written pages from the cache;
                   ///< flags = kWriteBackWait: wait until written before dropping
  make_directory,  ///< fd, path, mode
  remove_directory,  ///< fd, path (must be empty)
  unlink,            ///< fd, path
  rename,            ///< fd, path -> fd2, path2; never replaces (RENAME_NOREPLACE)
  replace,           ///< fd, path -> fd2, path2; replaces a file that is there
  exchange,          ///< fd, path <-> fd2, path2 (RENAME_EXCHANGE)
  link,              ///< fd, path -> fd2, path2: hard link
  list,              ///< fd (a directory) -> entries, in no order, without . and ..
  stat,              ///< fd, path ("" = fd itself) -> status; does not follow a symlink
  lock,              ///< fd, flags = LOCK_SH / LOCK_EX / LOCK_UN; never waits (LOCK_NB is added)
  cached,  ///< fd (for reading), offset, length -> value = bytes of it that the page cache has, by
           ///< a sample of its pages; 0 where the kernel does not tell this process
  watch,  ///< fd (of inotify), fd2 (a directory), flags = IN_...: -> value = watch descriptor;
          ///< -EOPNOTSUPP where other machines may change the directory unheard
};
[[nodiscard]] CAIRN_EXPORT std::string_view to_string(IoOp op) noexcept;

/// IoRequest::flags of write_back: wait for the range to be written. A failed write is reported by
/// this call and then, on the same descriptor, by no later sync: its result must not be ignored.
inline constexpr int kWriteBackWait = 1;

/// What an entry of a directory is; links are not followed.
enum class FileType : std::uint8_t { regular, directory, symlink, other };

/// An entry of a directory, as a list gives it.
struct DirectoryEntry {
  std::string name;
  FileType type = FileType::other;
};

/// What a stat gives.
struct FileStatus {
  FileType type = FileType::other;
  std::uint64_t size = 0;        ///< bytes
  std::int64_t modified_ns = 0;  ///< since the Unix epoch
  /// Together they name a file of this machine.
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::uint32_t mode = 0;                     ///< permission bits
  std::uint32_t links = 0;                    ///< names that it has
  bool direct_alignment_known = false;        ///< the kernel gave what follows (statx DIOALIGN)
  std::uint32_t direct_memory_alignment = 0;  ///< bytes; known and 0: this file has no direct I/O
  std::uint32_t direct_offset_alignment = 0;  ///< likewise
};

/// One request. Which fields count is said at each IoOp. `buffer` belongs to the operation from
/// submit() until complete(). Has a constructor because g++ 12 destroys an aggregate inside a
/// co_await expression twice.
struct IoRequest {
  explicit IoRequest(IoOp which = IoOp::stat) noexcept : op(which) {}

  /// What is to be done, and in or to what.
  IoOp op;
  bool beneath = false;  ///< open: refuse to leave the directory (openat2 RESOLVE_BENEATH)

  /// As each IoOp says.
  int fd = -1;
  int fd2 = -1;
  int flags = 0;
  std::uint32_t mode = 0;
  std::uint64_t offset = 0;  ///< bytes
  std::uint64_t length = 0;  ///< bytes
  void* buffer = nullptr;    ///< written to by read, read from by write

  /// Likewise.
  std::string path;
  std::string path2;
};

/// What came of a request.
struct IoResult {
  std::int64_t value = 0;  ///< >= 0: descriptor or bytes; < 0: -errno
  /// Not carried out, and `value` says why: -ECANCELED (cancelled in a queue), -ESHUTDOWN or
  /// -EOWNERDEAD (see shut_down()). Without it these are answers of the kernel, as others are.
  bool refused = false;
  FileStatus status;
  std::vector<DirectoryEntry> entries;
};

/// A request under way. The backend owns it from submit() until it calls complete(), once: on a
/// thread of its own, or inside submit() where it refuses the request. complete() takes ownership
/// back and must be short: it posts, it does not work.
class CAIRN_EXPORT IoOperation {
 public:
  explicit IoOperation(IoRequest r) : request(std::move(r)) {}
  IoOperation(const IoOperation&) = delete;
  IoOperation& operator=(const IoOperation&) = delete;
  virtual void complete() noexcept = 0;

  /// What is asked for; what came of it, from complete() on.
  IoRequest request;
  IoResult result;
  IoOperation* link = nullptr;  ///< for the backend's queues, from submit() until complete()

 protected:
  virtual ~IoOperation() = default;
};

/// What a backend turned out to be, for stats(), `cairn doctor` and benchmarks.
struct BackendInfo {
  std::string name;    ///< "uring" or "threads"
  std::string reason;  ///< why this one: "chosen", or the fallback's cause and remedy
  std::vector<std::string> ring_flags;  ///< e.g. "SINGLE_ISSUER", "DEFER_TASKRUN"
  bool registered_buffers = false;      ///< transfers use registered memory
  std::uint64_t registered_bytes = 0;   ///< pinned so far
  std::string registered_reason;        ///< empty, or why no more is: cause and remedy
  unsigned queue_depth = 0;             ///< operations that can be under way in the kernel
};

/// Carries out requests. submit() and cancel() may be called from any thread.
class CAIRN_EXPORT IoBackend {
 public:
  virtual ~IoBackend() = default;
  /// Starts `operation`. Never fails: an error arrives as the operation's result.
  virtual void submit(IoOperation* operation) noexcept = 0;
  /// Asks that `operation` ends early. One that has not reached the kernel completes with
  /// -ECANCELED; one that has ends when the kernel says so. A close is always carried out: its
  /// owner has let the descriptor go. A pointer that is not under way is ignored.
  virtual void cancel(IoOperation* operation) noexcept = 0;
  /// What it is, for logs.
  [[nodiscard]] virtual BackendInfo info() const = 0;
  /// Names the memory of most transfers, so that a backend can keep it pinned. The ranges stay
  /// mapped as long as the backend. At most once, before the first submit(). A backend may ignore
  /// it; what came of it shows in info().
  virtual void register_memory(std::span<const std::span<std::byte>> ranges) noexcept {
    static_cast<void>(ranges);
  }
  /// Waits until nothing is under way, then stops the threads. False when `timeout_ms` passed
  /// first: the backend goes on and must be kept alive. Negative: no limit. Operations submitted
  /// afterwards complete with -ESHUTDOWN on the submitting thread, and with -EOWNERDEAD in a forked
  /// child.
  virtual bool shut_down(std::int64_t timeout_ms) noexcept = 0;
};

/// Which backend: io_uring, threads, or what the machine allows.
enum class BackendKind : std::uint8_t { automatic, uring, threads };

/// Which backend, and how wide.
struct BackendOptions {
  BackendKind kind =
      BackendKind::automatic;  ///< environment CAIRN_IO_BACKEND=uring|threads overrides automatic
  unsigned queue_depth = 128;  ///< operations in the kernel at once
  unsigned threads = 8;        ///< of the thread backend
};

/// Makes the backend asked for. `automatic` falls back to threads where io_uring is refused and
/// says why in info().reason. Throws boost::system::system_error when `uring` is forced and
/// refused, or the threads cannot be had.
[[nodiscard]] CAIRN_EXPORT std::unique_ptr<IoBackend> make_backend(const BackendOptions& options);

}  // namespace cairn::engine
