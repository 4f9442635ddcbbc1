#pragma once
// Files and directories on an engine. Each operation takes a completion token, honours the
// handler's associated executor and its cancellation slot, and carries on after short transfers and
// EINTR.

#include <cairn/engine/engine.h>
#include <cairn/engine/error.h>
#include <cairn/engine/impl/write_back_window.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace cairn::engine {

/// Submits one request; completes with void(error_code, IoResult). The building block of all below.
/// A handler without an executor of its own is posted to the engine's strand, here and below. In a
/// forked child, where the error is Errc::forked_child, it runs inside the call; so does one of
/// Asio's own thread pool, as that of use_future is.
template <class Token>
auto async_io(std::shared_ptr<Engine> engine, IoRequest request, Token&& token);

/// A descriptor that closes itself, by a plain close(2).
class CAIRN_EXPORT Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept;
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A descriptor that its engine closes: close(2) waits for a file server, and whoever lets a file
/// go must not. Nobody learns how that close ended; where it matters, use async_close(). Move-only.
class CAIRN_EXPORT EngineDescriptor {
 public:
  EngineDescriptor() noexcept = default;
  EngineDescriptor(std::shared_ptr<Engine> engine, Descriptor fd) noexcept;
  EngineDescriptor(EngineDescriptor&&) noexcept = default;
  EngineDescriptor& operator=(EngineDescriptor&& other) noexcept;
  ~EngineDescriptor();
  [[nodiscard]] int get() const noexcept { return fd_.get(); }
  [[nodiscard]] const std::shared_ptr<Engine>& engine() const noexcept { return engine_; }
  /// The descriptor, for whoever closes it in another way.
  [[nodiscard]] Descriptor take() noexcept { return std::move(fd_); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

 private:
  std::shared_ptr<Engine> engine_;
  Descriptor fd_;
};

class Directory;

/// What a file is opened for.
enum class OpenMode : std::uint8_t {
  read,         ///< existing file, for reading
  create,       ///< new file (O_EXCL), for writing
  create_lock,  ///< opened or made, read and write, never truncated: lock files
};

/// An open file. Move-only; operations on it must have completed before it is destroyed.
class CAIRN_EXPORT File {
 public:
  File() noexcept = default;
  File(std::shared_ptr<Engine> engine, Descriptor fd, bool direct,
       std::uint32_t alignment) noexcept;
  File(File&&) noexcept = default;
  File& operator=(File&&) noexcept = default;

  /// Whether its transfers pass the page cache by.
  [[nodiscard]] bool direct() const noexcept { return direct_; }
  /// Offsets, lengths and addresses of direct transfers are multiples of this, bytes; 1 when
  /// buffered.
  [[nodiscard]] std::uint32_t alignment() const noexcept { return alignment_; }
  /// The descriptor, which the file keeps.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  /// Writes all of `bytes` at `offset`. void(error_code, std::size_t written).
  template <class Token>
  auto async_write_at(std::uint64_t offset, std::span<const std::byte> bytes, Token&& token);
  /// Reads until `bytes` is full or the file ends. void(error_code, std::size_t read).
  template <class Token>
  auto async_read_at(std::uint64_t offset, std::span<std::byte> bytes, Token&& token);
  /// Reserves blocks from 0 to `length` bytes (early ENOSPC). Where the file system cannot: no
  /// error.
  template <class Token>
  auto async_allocate(std::uint64_t length, Token&& token);  // void(error_code)
  /// Cuts the file off at `length` bytes, or lengthens it with zeros.
  template <class Token>
  auto async_truncate(std::uint64_t length, Token&& token);  // void(error_code)
  /// fdatasync. After a failure the file's content is unknown: give the save up.
  template <class Token>
  auto async_sync(Token&& token);  // void(error_code)
  /// How many of these bytes the page cache has, by a sample: all of them only where every sampled
  /// page is there. 0 where the kernel does not tell. Errors: those of fstat and mmap.
  /// void(error_code, std::uint64_t bytes)
  template <class Token>
  auto async_cached(std::uint64_t offset, std::uint64_t length, Token&& token);
  /// Reads what the page cache has, on the calling thread and without waiting for the disk: until
  /// `bytes` is full, the file ends or a page is not there. Returns how many bytes it read; 0 also
  /// where the kernel cannot tell (before Linux 4.14, file systems without RWF_NOWAIT), with direct
  /// I/O, and where EngineOptions::io_backend is to see each operation. Several threads may call
  /// it.
  [[nodiscard]] std::size_t read_cached(std::uint64_t offset,
                                        std::span<std::byte> bytes) const noexcept;
  /// What FileStatus has of it.
  template <class Token>
  auto async_stat(Token&& token);  // void(error_code, FileStatus)
  /// flock without waiting; EWOULDBLOCK when held elsewhere. void(error_code)
  template <class Token>
  auto async_lock(bool exclusive, Token&& token);
  /// Lets async_lock()'s lock go.
  template <class Token>
  auto async_unlock(Token&& token);  // void(error_code)
  /// void(error_code); the descriptor is gone whatever the result.
  template <class Token>
  auto async_close(Token&& token);

 private:
  [[nodiscard]] IoRequest request(IoOp op) const;
  [[nodiscard]] IoRequest transfer(IoOp op, std::uint64_t offset, const std::byte* buffer,
                                   std::size_t length) const;

  EngineDescriptor fd_;
  bool direct_ = false;
  std::uint32_t alignment_ = 1;
  std::shared_ptr<impl::WriteBackWindow> window_;  // none with direct I/O
};

/// An open directory. A path to open is resolved in it and, with symlinks, never outside it. A name
/// of an entry is one component, neither . nor ..; others complete with EINVAL. Move-only.
class CAIRN_EXPORT Directory {
 public:
  Directory() noexcept = default;
  Directory(std::shared_ptr<Engine> engine, Descriptor fd) noexcept;
  Directory(Directory&&) noexcept = default;
  Directory& operator=(Directory&&) noexcept = default;

  /// The descriptor, which stays this object's; false: none.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  /// Opens an absolute or working-directory path. void(error_code, Directory).
  template <class Token>
  static auto async_open(std::shared_ptr<Engine> engine, std::string path, Token&& token);
  /// Opens a directory below this one (may hold several components). void(error_code, Directory).
  template <class Token>
  auto async_open_directory(std::string name, Token&& token);
  /// Opens a file below this one (likewise); `direct` as DirectIo says. A file for metadata asks
  /// for off. What is there and no regular file is Errc::not_a_regular_file, without waiting for a
  /// FIFO's writer. What could be created and then not be used is removed, where `name` is one
  /// component; what is cancelled may leave it. void(error_code, File).
  template <class Token>
  auto async_open_file(std::string name, OpenMode mode, DirectIo direct, Token&& token);

  /// An entry of this directory: made (mode less the umask), or removed. void(error_code)
  template <class Token>
  auto async_make_directory(std::string name, std::uint32_t mode, Token&& token);
  template <class Token>
  auto async_remove_directory(std::string name, Token&& token);
  template <class Token>
  auto async_unlink(std::string name, Token&& token);

  /// Never replaces: EEXIST. Where the file system cannot promise that in one step (NFS, FUSE), the
  /// target is looked for first: exclude other writers. void(error_code)
  template <class Token>
  auto async_rename(std::string name, Directory& to, std::string to_name, Token&& token);
  /// Errc::exchange_unavailable where the file system cannot. void(error_code)
  template <class Token>
  auto async_exchange(std::string name, Directory& to, std::string to_name, Token&& token);
  /// A hard link; EEXIST as above. void(error_code)
  template <class Token>
  auto async_link(std::string name, Directory& to, std::string to_name, Token&& token);
  /// void(error_code, std::vector<DirectoryEntry>)
  template <class Token>
  auto async_list(Token&& token);
  /// Of an entry, without following a symlink; "" = this directory. void(error_code, FileStatus)
  template <class Token>
  auto async_stat(std::string name, Token&& token);
  /// fsync of the directory: its entries are durable. void(error_code)
  template <class Token>
  auto async_sync(Token&& token);

 private:
  [[nodiscard]] IoRequest request(IoOp op, std::string name) const;
  [[nodiscard]] IoRequest pair(IoOp op, std::string name, const Directory& to,
                               std::string to_name) const;

  EngineDescriptor fd_;
};

}  // namespace cairn::engine

#include <cairn/engine/impl/file_impl.h>
