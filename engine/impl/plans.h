#pragma once
// The plans behind engine/file.h: small state machines that say which request comes next. begin()
// and next() run on whatever thread submits or completes, one at a time; invoke() on the handler's
// executor. All have constructors (see Start) and are move-only where they hold a descriptor.

#include <cairn/engine/impl/operation.h>
#include <cairn/engine/io_backend.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cairn::engine::impl {

/// One request as it is: the base of those that add little.
class CAIRN_EXPORT SinglePlan {
 public:
  explicit SinglePlan(IoRequest request) : first_(std::move(request)) {}
  bool begin(IoRequest& request, IoResult& result) noexcept;
  bool next(IoRequest& request, IoResult& result) noexcept;

 protected:
  IoRequest first_;
  IoResult last_;
};

/// async_io(): the whole result. A descriptor that nobody took is closed.
class CAIRN_EXPORT RawPlan : public SinglePlan {
 public:
  using Signature = void(error_code, IoResult);
  explicit RawPlan(IoRequest request);
  bool next(IoRequest& request, IoResult& result) noexcept;
  template <class Handler>
  void invoke(Handler& handler) {
    static_cast<void>(opened_.release());
    const error_code error = to_error(last_);
    std::move(handler)(error, std::move(last_));
  }

 private:
  Descriptor opened_;
};

/// Success or an error.
class StatusPlan : public SinglePlan {
 public:
  using Signature = void(error_code);
  using SinglePlan::SinglePlan;
  template <class Handler>
  void invoke(Handler& handler) {
    std::move(handler)(to_error(last_));
  }
};

/// A number of bytes.
class CountPlan : public SinglePlan {
 public:
  using Signature = void(error_code, std::uint64_t);
  using SinglePlan::SinglePlan;
  template <class Handler>
  void invoke(Handler& handler) {
    const std::int64_t count = last_.value;
    std::move(handler)(to_error(last_), count < 0 ? 0 : static_cast<std::uint64_t>(count));
  }
};

/// True for a name of one component, the only kind that cannot lead out of a directory.
[[nodiscard]] CAIRN_EXPORT bool is_entry_name(const std::string& name) noexcept;

/// Success or an error of an operation on one entry of a directory, or on two: names of several
/// components are EINVAL, because the kernel would follow them, and symlinks among them, anywhere.
class CAIRN_EXPORT EntryPlan : public StatusPlan {
 public:
  using StatusPlan::StatusPlan;
  bool begin(IoRequest& request, IoResult& result) noexcept;

 protected:
  bool name_refused_ = false;
};

/// A rename that never replaces, also in file systems without RENAME_NOREPLACE (NFS, many of FUSE):
/// there the target is looked for, and a plain rename follows where it is absent.
class CAIRN_EXPORT RenamePlan : public EntryPlan {
 public:
  using EntryPlan::EntryPlan;
  bool next(IoRequest& request, IoResult& result) noexcept;

 private:
  enum class Step : std::uint8_t { no_replace, look, plain };
  Step step_ = Step::no_replace;
  IoRequest plain_;
};

/// An exchange, for which there is no substitute: a file system without has an error of its own.
class CAIRN_EXPORT ExchangePlan : public EntryPlan {
 public:
  using EntryPlan::EntryPlan;
  template <class Handler>
  void invoke(Handler& handler) {
    std::move(handler)(error());
  }

 private:
  [[nodiscard]] error_code error() const noexcept;
};

/// Reserving blocks: a file system that cannot is no error, the writes will allocate.
class CAIRN_EXPORT AllocatePlan : public StatusPlan {
 public:
  using StatusPlan::StatusPlan;
  bool begin(IoRequest& request, IoResult& result) noexcept;
  bool next(IoRequest& request, IoResult& result) noexcept;
};

/// fdatasync; then what is left of a buffered file is dropped from the cache.
class CAIRN_EXPORT SyncPlan : public StatusPlan {
 public:
  /// `window`: of a buffered file, or null.
  SyncPlan(IoRequest request, std::shared_ptr<WriteBackWindow> window);
  bool begin(IoRequest& request, IoResult& result) noexcept;
  bool next(IoRequest& request, IoResult& result) noexcept;

 private:
  std::shared_ptr<WriteBackWindow> window_;
  ByteRange rest_;  // written before the sync began
};

/// Owns the descriptor, so that it is closed even when the request was cancelled or never
/// submitted.
class CAIRN_EXPORT ClosePlan : public StatusPlan {
 public:
  explicit ClosePlan(Descriptor fd);
  bool next(IoRequest& request, IoResult& result) noexcept;

 private:
  Descriptor fd_;
};

class StatPlan : public SinglePlan {
 public:
  using Signature = void(error_code, FileStatus);
  using SinglePlan::SinglePlan;
  template <class Handler>
  void invoke(Handler& handler) {
    std::move(handler)(to_error(last_), last_.status);
  }
};

/// Of an entry, or of the directory itself: "".
class CAIRN_EXPORT EntryStatPlan : public StatPlan {
 public:
  using StatPlan::StatPlan;
  bool begin(IoRequest& request, IoResult& result) noexcept;
};

class ListPlan : public SinglePlan {
 public:
  using Signature = void(error_code, std::vector<DirectoryEntry>);
  using SinglePlan::SinglePlan;
  template <class Handler>
  void invoke(Handler& handler) {
    std::move(handler)(to_error(last_), std::move(last_.entries));
  }
};

/// Opens a directory.
class CAIRN_EXPORT OpenDirectoryPlan : public SinglePlan {
 public:
  using Signature = void(error_code, Directory);
  OpenDirectoryPlan(std::shared_ptr<Engine> engine, int fd, std::string path, bool beneath);
  bool next(IoRequest& request, IoResult& result) noexcept;
  template <class Handler>
  void invoke(Handler& handler) {
    Directory directory;
    if (opened_) directory = Directory(std::move(engine_), std::move(opened_));
    std::move(handler)(to_error(last_), std::move(directory));
  }

 private:
  std::shared_ptr<Engine> engine_;
  Descriptor opened_;
};

/// Opens a file, with direct I/O where asked for and possible, and asks for its alignment. Where
/// direct I/O turns out not to be, it opens the file again without, or gives up; giving up closes
/// the file and removes it when this made it. What is there and no regular file is refused, without
/// waiting for it.
class CAIRN_EXPORT OpenFilePlan {
 public:
  using Signature = void(error_code, File);
  OpenFilePlan(std::shared_ptr<Engine> engine, int fd, std::string name, OpenMode mode,
               DirectIo direct);
  bool begin(IoRequest& request, IoResult& result) noexcept;
  bool next(IoRequest& request, IoResult& result) noexcept;
  template <class Handler>
  void invoke(Handler& handler) {
    const error_code error = error_;
    std::move(handler)(error, take_file());
  }

 private:
  enum class Step : std::uint8_t {
    open_direct,
    open_buffered,
    ask_alignment,
    close_direct,  // to open it again without direct I/O
    close_given_up,
    remove_created,
  };
  bool after_open(IoRequest& request, const IoResult& result) noexcept;
  bool after_stat(IoRequest& request, const IoResult& result) noexcept;
  bool open_buffered(IoRequest& request) noexcept;
  bool close(IoRequest& request, Step step) noexcept;
  bool give_up(IoRequest& request, error_code error) noexcept;
  bool remove_created(IoRequest& request) noexcept;
  void after_close(const IoResult& result) noexcept;
  [[nodiscard]] File take_file() noexcept;

  std::shared_ptr<Engine> engine_;
  IoRequest first_;  // the open, while `request` is something else
  OpenMode mode_;
  DirectIo wish_;
  Step step_ = Step::open_buffered;
  Descriptor opened_;
  bool created_ = false;
  std::uint32_t alignment_ = 1;
  error_code error_;
};

/// Reads or writes all of a range.
class CAIRN_EXPORT TransferPlan {
 public:
  using Signature = void(error_code, std::size_t);
  /// `alignment` 1 = buffered. `window` (may be null) meters the write-back of buffered writes.
  TransferPlan(IoRequest request, std::uint32_t alignment, std::shared_ptr<WriteBackWindow> window);
  bool begin(IoRequest& request, IoResult& result) noexcept;
  bool next(IoRequest& request, IoResult& result) noexcept;
  template <class Handler>
  void invoke(Handler& handler) {
    std::move(handler)(error_, done_);
  }

 private:
  enum class Step : std::uint8_t { transfer, check_end, start_write_back, drop_written };
  bool after_transfer(IoRequest& request, const IoResult& result) noexcept;
  bool fail(error_code error) noexcept;
  bool move_on(IoRequest& request) noexcept;
  bool begin_write_back(IoRequest& request) noexcept;

  IoRequest first_;
  std::uint32_t alignment_;
  std::shared_ptr<WriteBackWindow> window_;
  Step step_ = Step::transfer;
  std::size_t done_ = 0;
  std::uint64_t drop_offset_ = 0;
  std::uint64_t drop_length_ = 0;
  error_code error_;
};

}  // namespace cairn::engine::impl
