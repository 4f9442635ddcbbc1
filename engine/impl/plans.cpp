#include <cairn/engine/file.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <string_view>
#include <utility>

namespace cairn::engine::impl {
namespace {

constexpr std::uint32_t kNewFileMode = 0666;  // the process's umask applies
// What direct I/O needs where the kernel does not say: one page covers every block size in use.
constexpr std::uint32_t kDefaultDirectAlignment = 4096;
constexpr int kFileFlags = O_CLOEXEC | O_NOFOLLOW;

// What may be there already is opened without waiting: it may be a FIFO without a writer.
int flags_of(OpenMode mode) noexcept {
  switch (mode) {
    case OpenMode::read:
      return O_RDONLY | O_NONBLOCK;
    case OpenMode::create:
      return O_WRONLY | O_CREAT | O_EXCL;
    case OpenMode::create_lock:
      return O_RDWR | O_CREAT | O_NONBLOCK;
  }
  return O_RDONLY;
}

// What is wrong with what was opened with O_NONBLOCK; the flag is gone then: io_uring would answer
// EAGAIN to reads of a regular file where the file system cannot do without waiting (io_uring/rw.c,
// io_rw_init_file). Neither call waits for a file server: the type is in memory by now, and the
// flags belong to this kernel.
error_code settle_opened(int fd, int flags) noexcept {
  struct statx status {};
  const int how = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (::statx(fd, "", how, STATX_TYPE, &status) != 0) return from_errno(errno);
  if (!S_ISREG(status.stx_mode)) return make_error_code(Errc::not_a_regular_file);
  if (::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) return from_errno(errno);
  return {};
}

// "Not here" as opposed to "failed".
bool is_unsupported(std::int64_t value) noexcept {
  return value == -EOPNOTSUPP || value == -ENOSYS || value == -ESPIPE || value == -EINVAL;
}

bool has_two_names(IoOp op) noexcept {
  return op == IoOp::rename || op == IoOp::replace || op == IoOp::exchange || op == IoOp::link;
}

bool is_aligned(std::uint64_t value, std::uint32_t alignment) noexcept {
  return value % alignment == 0;
}

}  // namespace

bool is_entry_name(const std::string& name) noexcept {
  if (name.empty() || name == "." || name == "..") return false;
  return name.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
}

bool SinglePlan::begin(IoRequest& request, IoResult&) noexcept {
  request = std::move(first_);
  return true;
}

bool SinglePlan::next(IoRequest&, IoResult& result) noexcept {
  last_ = std::move(result);
  return false;
}

RawPlan::RawPlan(IoRequest request) : SinglePlan(std::move(request)) {}

bool RawPlan::next(IoRequest& request, IoResult& result) noexcept {
  if (request.op == IoOp::open && result.value >= 0) {
    opened_ = Descriptor(static_cast<int>(result.value));
  }
  return SinglePlan::next(request, result);
}

bool EntryPlan::begin(IoRequest& request, IoResult& result) noexcept {
  const bool names_are_right =
      is_entry_name(first_.path) && (!has_two_names(first_.op) || is_entry_name(first_.path2));
  if (names_are_right) return StatusPlan::begin(request, result);
  name_refused_ = true;
  last_.value = -EINVAL;
  return false;
}

bool EntryStatPlan::begin(IoRequest& request, IoResult& result) noexcept {
  if (first_.path.empty() || is_entry_name(first_.path)) return StatPlan::begin(request, result);
  last_.value = -EINVAL;
  return false;
}

// Between the look and the plain rename somebody else may make the target. The rename then replaces
// a file, or an empty directory; a directory with anything in it makes it fail. Whoever renames
// here excludes other writers (the manager holds the root's lock), so that this needs a program
// that keeps to no rule, and costs what that program made a moment ago, never a directory in use.
bool RenamePlan::next(IoRequest& request, IoResult& result) noexcept {
  switch (step_) {
    case Step::no_replace:
      if (!is_unsupported(result.value)) break;
      step_ = Step::look;
      plain_ = std::move(request);
      plain_.op = IoOp::replace;
      request = IoRequest(IoOp::stat);
      request.fd = plain_.fd2;
      request.path = std::move(plain_.path2);
      return true;
    case Step::look:
      if (result.value >= 0) result.value = -EEXIST;
      if (result.value != -ENOENT) break;
      step_ = Step::plain;
      plain_.path2 = std::move(request.path);
      request = std::move(plain_);
      return true;
    case Step::plain:
      break;
  }
  return EntryPlan::next(request, result);
}

error_code ExchangePlan::error() const noexcept {
  if (!name_refused_ && is_unsupported(last_.value)) {
    return make_error_code(Errc::exchange_unavailable);
  }
  return to_error(last_);
}

bool AllocatePlan::begin(IoRequest& request, IoResult& result) noexcept {
  // fallocate refuses an empty range; there is nothing to reserve.
  return first_.length != 0 && SinglePlan::begin(request, result);
}

bool AllocatePlan::next(IoRequest& request, IoResult& result) noexcept {
  if (is_unsupported(result.value)) result.value = 0;
  return SinglePlan::next(request, result);
}

SyncPlan::SyncPlan(IoRequest request, std::shared_ptr<WriteBackWindow> window)
    : StatusPlan(std::move(request)), window_(std::move(window)) {}

bool SyncPlan::begin(IoRequest& request, IoResult& result) noexcept {
  if (window_) rest_ = window_->take_rest();
  return StatusPlan::begin(request, result);
}

bool SyncPlan::next(IoRequest& request, IoResult& result) noexcept {
  if (request.op == IoOp::write_back) {
    if (is_unsupported(result.value)) result.value = 0;
  } else if (result.value >= 0 && rest_.length != 0) {
    request.op = IoOp::write_back;  // clean by now: only to be dropped
    request.offset = rest_.offset;
    request.length = rest_.length;
    return true;
  }
  return StatusPlan::next(request, result);
}

ClosePlan::ClosePlan(Descriptor fd) : StatusPlan(IoRequest(IoOp::close)), fd_(std::move(fd)) {
  first_.fd = fd_.get();
}

bool ClosePlan::next(IoRequest& request, IoResult& result) noexcept {
  // Whatever the kernel answered, it has let go of the descriptor: a failed flush (fuse may give
  // any errno) comes after that, and the number may be someone else's by now.
  if (result.refused) {
    fd_ = Descriptor();
  } else {
    static_cast<void>(fd_.release());
  }
  return SinglePlan::next(request, result);
}

OpenDirectoryPlan::OpenDirectoryPlan(std::shared_ptr<Engine> engine, int fd, std::string path,
                                     bool beneath)
    : SinglePlan(IoRequest(IoOp::open)), engine_(std::move(engine)) {
  first_.fd = fd;
  first_.path = std::move(path);
  first_.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  first_.beneath = beneath;
}

bool OpenDirectoryPlan::next(IoRequest& request, IoResult& result) noexcept {
  if (result.value >= 0) opened_ = Descriptor(static_cast<int>(result.value));
  return SinglePlan::next(request, result);
}

// ---- files --------------------------------------------------------------------------------------

OpenFilePlan::OpenFilePlan(std::shared_ptr<Engine> engine, int fd, std::string name, OpenMode mode,
                           DirectIo direct)
    : engine_(std::move(engine)), first_(IoOp::open), mode_(mode), wish_(direct) {
  first_.fd = fd;
  first_.path = std::move(name);
  first_.flags = flags_of(mode) | kFileFlags;
  first_.mode = kNewFileMode;
  first_.beneath = true;
}

bool OpenFilePlan::begin(IoRequest& request, IoResult&) noexcept {
  request = std::move(first_);
  step_ = wish_ == DirectIo::off ? Step::open_buffered : Step::open_direct;
  if (step_ == Step::open_direct) request.flags |= O_DIRECT;
  return true;
}

bool OpenFilePlan::next(IoRequest& request, IoResult& result) noexcept {
  switch (step_) {
    case Step::open_direct:
    case Step::open_buffered:
      return after_open(request, result);
    case Step::ask_alignment:
      return after_stat(request, result);
    case Step::close_direct:
      after_close(result);
      request = std::move(first_);
      return open_buffered(request);
    case Step::close_given_up:
      after_close(result);
      request = std::move(first_);
      return remove_created(request);
    case Step::remove_created:
      return false;  // what went wrong before matters more
  }
  return false;
}

bool OpenFilePlan::after_open(IoRequest& request, const IoResult& result) noexcept {
  const bool insisted = (request.flags & O_EXCL) != 0;
  if (result.value == -EINVAL && step_ == Step::open_direct) {
    // Linux creates the file before it finds that O_DIRECT cannot be: the name may be ours by now,
    // and would have been EEXIST otherwise.
    created_ = insisted;
    if (wish_ != DirectIo::required) return open_buffered(request);
    return give_up(request, make_error_code(Errc::direct_io_unavailable));
  }
  if (result.value == -EAGAIN && (request.flags & O_NONBLOCK) != 0) {
    // Somebody has a lease on it (fcntl(2), F_SETLEASE), which only regular files can have, and the
    // kernel is taking that back: worth waiting for.
    request.flags &= ~O_NONBLOCK;
    return true;
  }
  const bool found = mode_ != OpenMode::create;
  if (result.value < 0) {
    // ENXIO is what a socket answers, or a device that is not there.
    error_ = found && result.value == -ENXIO ? make_error_code(Errc::not_a_regular_file)
                                             : to_error(result);
    return remove_created(request);
  }
  opened_ = Descriptor(static_cast<int>(result.value));
  created_ = created_ || insisted;
  if (found) {
    const error_code fault = settle_opened(opened_.get(), request.flags);
    if (fault) return give_up(request, fault);
  }
  if (step_ == Step::open_buffered) return false;
  step_ = Step::ask_alignment;
  first_ = std::exchange(request, IoRequest(IoOp::stat));
  request.fd = opened_.get();
  return true;
}

bool OpenFilePlan::after_stat(IoRequest& request, const IoResult& result) noexcept {
  if (result.value < 0) return give_up(request, to_error(result));
  const FileStatus& status = result.status;
  const auto [least, most] =
      std::minmax(status.direct_memory_alignment, status.direct_offset_alignment);
  alignment_ = status.direct_alignment_known ? most : kDefaultDirectAlignment;
  // Above their own alignment the arenas' buffers could not serve such a file.
  const bool refused = status.direct_alignment_known && least == 0;
  if (!refused && alignment_ <= kBufferAlignment) return false;
  if (wish_ != DirectIo::required) return close(request, Step::close_direct);
  return give_up(request, make_error_code(Errc::direct_io_unavailable));
}

bool OpenFilePlan::open_buffered(IoRequest& request) noexcept {
  // The file is there by now, where it was to be made: O_EXCL would find it.
  request.flags &= ~O_DIRECT;
  if (created_) request.flags &= ~O_EXCL;
  step_ = Step::open_buffered;
  return true;
}

bool OpenFilePlan::close(IoRequest& request, Step step) noexcept {
  step_ = step;
  if (request.op == IoOp::open) first_ = std::move(request);
  request = IoRequest(IoOp::close);
  request.fd = opened_.get();
  return true;
}

void OpenFilePlan::after_close(const IoResult& result) noexcept {
  if (result.refused) {
    opened_ = Descriptor();
  } else {
    static_cast<void>(opened_.release());
  }
}

bool OpenFilePlan::give_up(IoRequest& request, error_code error) noexcept {
  error_ = error;
  return opened_ ? close(request, Step::close_given_up) : remove_created(request);
}

bool OpenFilePlan::remove_created(IoRequest& request) noexcept {
  // A longer path is not looked up beneath the directory by an unlink: what a symlink leads to is
  // not ours.
  if (!created_ || !is_entry_name(request.path)) return false;
  step_ = Step::remove_created;
  request.op = IoOp::unlink;
  return true;
}

File OpenFilePlan::take_file() noexcept {
  if (error_ || !opened_) return {};
  const bool direct = step_ == Step::ask_alignment;
  engine_->note_opened(direct);
  return File(std::move(engine_), std::move(opened_), direct, direct ? alignment_ : 1);
}

// ---- transfers ----------------------------------------------------------------------------------

TransferPlan::TransferPlan(IoRequest request, std::uint32_t alignment,
                           std::shared_ptr<WriteBackWindow> window)
    : first_(std::move(request)), alignment_(alignment), window_(std::move(window)) {
  assert(first_.op == IoOp::read || first_.op == IoOp::write);
}

bool TransferPlan::begin(IoRequest& request, IoResult&) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(first_.buffer);
  if (!is_aligned(first_.offset, alignment_) || !is_aligned(first_.length, alignment_) ||
      !is_aligned(address, alignment_)) {
    return fail(make_error_code(Errc::misaligned_request));
  }
  if (first_.length == 0) return false;
  request = first_;
  return true;
}

bool TransferPlan::fail(error_code error) noexcept {
  error_ = error;
  return false;
}

bool TransferPlan::next(IoRequest& request, IoResult& result) noexcept {
  switch (step_) {
    case Step::transfer:
      return after_transfer(request, result);
    case Step::check_end:
      if (result.value < 0) return fail(to_error(result));
      if (first_.offset + done_ >= result.status.size) return false;
      return fail(make_error_code(Errc::unaligned_short_transfer));
    case Step::start_write_back:
      if (result.value < 0 && !is_unsupported(result.value)) return fail(to_error(result));
      if (drop_length_ == 0) return false;
      step_ = Step::drop_written;
      request.offset = drop_offset_;
      request.length = drop_length_;
      request.flags = kWriteBackWait;
      return true;
    case Step::drop_written:
      // A failed write-back shows here and not in the later fdatasync: it must fail the write.
      if (result.value < 0 && !is_unsupported(result.value)) return fail(to_error(result));
      return false;
  }
  return false;
}

bool TransferPlan::after_transfer(IoRequest& request, const IoResult& result) noexcept {
  if (result.value < 0) return fail(to_error(result));
  const bool reading = first_.op == IoOp::read;
  if (result.value == 0) {
    // The end of a file; a write that moves nothing would go on for ever.
    return reading ? false : fail(from_errno(EIO));
  }
  done_ += static_cast<std::size_t>(result.value);
  assert(done_ <= first_.length);
  if (done_ == first_.length) return begin_write_back(request);
  if (is_aligned(done_, alignment_)) return move_on(request);
  if (!reading) return fail(make_error_code(Errc::unaligned_short_transfer));
  // A direct read may end unaligned only where the file ends.
  step_ = Step::check_end;
  request = IoRequest(IoOp::stat);
  request.fd = first_.fd;
  return true;
}

bool TransferPlan::move_on(IoRequest& request) noexcept {
  request.offset = first_.offset + done_;
  request.length = first_.length - done_;
  request.buffer = static_cast<std::byte*>(first_.buffer) + done_;
  return true;
}

bool TransferPlan::begin_write_back(IoRequest& request) noexcept {
  if (!window_ || first_.op != IoOp::write) return false;
  ByteRange start;
  ByteRange drop;
  if (!window_->add({first_.offset, first_.length}, start, drop)) return false;
  drop_offset_ = drop.offset;
  drop_length_ = drop.length;
  step_ = Step::start_write_back;
  request = IoRequest(IoOp::write_back);
  request.fd = first_.fd;
  request.offset = start.offset;
  request.length = start.length;
  return true;
}

}  // namespace cairn::engine::impl
