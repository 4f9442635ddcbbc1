#include <cairn/engine/file.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace cairn::engine::impl {
namespace {

constexpr std::uint32_t kNewFileMode = 0666;  // the process's umask applies
// What direct I/O needs where the kernel does not say: one page covers every block size in use.
constexpr std::uint32_t kDefaultDirectAlignment = 4096;
constexpr int kFileFlags = O_CLOEXEC | O_NOFOLLOW;

int flags_of(OpenMode mode) noexcept {
  switch (mode) {
    case OpenMode::read:
      return O_RDONLY;
    case OpenMode::create:
      return O_WRONLY | O_CREAT | O_EXCL;
    case OpenMode::create_lock:
      return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

// "Not here" as opposed to "failed".
bool is_unsupported(std::int64_t value) noexcept {
  return value == -EOPNOTSUPP || value == -ENOSYS || value == -ESPIPE || value == -EINVAL;
}

bool is_aligned(std::uint64_t value, std::uint32_t alignment) noexcept {
  return value % alignment == 0;
}

}  // namespace

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
  return StatusPlan::next(request, result);
}

error_code ExchangePlan::error() const noexcept {
  if (is_unsupported(last_.value)) return make_error_code(Errc::exchange_unavailable);
  return to_error(last_.value);
}

bool AllocatePlan::begin(IoRequest& request, IoResult& result) noexcept {
  // fallocate refuses an empty range; there is nothing to reserve.
  return first_.length != 0 && SinglePlan::begin(request, result);
}

bool AllocatePlan::next(IoRequest& request, IoResult& result) noexcept {
  if (is_unsupported(result.value)) result.value = 0;
  return SinglePlan::next(request, result);
}

ClosePlan::ClosePlan(Descriptor fd) : StatusPlan(IoRequest(IoOp::close)), fd_(std::move(fd)) {
  first_.fd = fd_.get();
}

bool ClosePlan::next(IoRequest& request, IoResult& result) noexcept {
  // These never reached the kernel. Any other answer means that the descriptor is gone.
  const bool untouched =
      result.value == -ECANCELED || result.value == -ESHUTDOWN || result.value == -EOWNERDEAD;
  if (untouched) {
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
    : engine_(std::move(engine)), first_(IoOp::open), wish_(direct) {
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
  if (step_ != Step::ask_alignment) return after_open(request, result);
  settle_alignment(result);
  return false;
}

bool OpenFilePlan::after_open(IoRequest& request, const IoResult& result) noexcept {
  if (result.value == -EINVAL && step_ == Step::open_direct) {
    if (wish_ == DirectIo::required) {
      error_ = make_error_code(Errc::direct_io_unavailable);
      return false;
    }
    // Linux creates the file before it finds that O_DIRECT cannot be: the name may be ours by now,
    // and would have been EEXIST otherwise. So the second attempt must not insist on creating it.
    request.flags &= ~(O_DIRECT | O_EXCL);
    step_ = Step::open_buffered;
    return true;
  }
  if (result.value < 0) {
    error_ = to_error(result.value);
    return false;
  }
  opened_ = Descriptor(static_cast<int>(result.value));
  if (step_ == Step::open_buffered) return false;
  step_ = Step::ask_alignment;
  request = IoRequest(IoOp::stat);
  request.fd = opened_.get();
  return true;
}

void OpenFilePlan::settle_alignment(const IoResult& result) noexcept {
  if (result.value < 0) {
    error_ = to_error(result.value);
    return;
  }
  const FileStatus& status = result.status;
  alignment_ = std::max(status.direct_memory_alignment, status.direct_offset_alignment);
  if (alignment_ == 0) alignment_ = kDefaultDirectAlignment;
  // The arenas' buffers could not serve such a file.
  if (alignment_ > kBufferAlignment) error_ = make_error_code(Errc::direct_io_unavailable);
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
      if (result.value < 0) return fail(to_error(result.value));
      if (first_.offset + done_ >= result.status.size) return false;
      return fail(make_error_code(Errc::unaligned_short_transfer));
    case Step::start_write_back:
      if (result.value < 0 && !is_unsupported(result.value)) return fail(to_error(result.value));
      if (drop_length_ == 0) return false;
      step_ = Step::drop_written;
      request.offset = drop_offset_;
      request.length = drop_length_;
      request.flags = kWriteBackWait;
      return true;
    case Step::drop_written:
      // A failed write-back shows here and not in the later fdatasync: it must fail the write.
      if (result.value < 0 && !is_unsupported(result.value)) return fail(to_error(result.value));
      return false;
  }
  return false;
}

bool TransferPlan::after_transfer(IoRequest& request, const IoResult& result) noexcept {
  if (result.value < 0) return fail(to_error(result.value));
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
