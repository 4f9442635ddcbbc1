#include <cairn/engine/internal/execute_blocking.h>
#include <cairn/engine/internal/thread.h>
#include <cairn/engine/internal/uring_backend.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

namespace cairn::engine::internal {
namespace {

// user_data of completions that belong to no operation.
constexpr std::uint64_t kWakeTag = ~std::uint64_t{0};
constexpr std::uint64_t kCancelTag = kWakeTag - 1;
constexpr unsigned kHelperThreads = 2;
constexpr unsigned kHelperThreadsMax = 64;  // as calls hang
constexpr unsigned kMinQueueDepth = 1;
constexpr unsigned kMaxQueueDepth = 4096;
// Entries besides the operations': the wake-up, and cancels before they make the ring submit early.
constexpr unsigned kExtraEntries = 32;

std::uint64_t slot_tag(std::uint32_t index, std::uint32_t generation) noexcept {
  return (static_cast<std::uint64_t>(generation) << 32) | index;
}

}  // namespace

UringBackend::UringBackend(const BackendOptions& options, std::string reason)
    : reason_(std::move(reason)),
      queue_depth_(std::clamp(options.queue_depth, kMinQueueDepth, kMaxQueueDepth)),
      slots_(queue_depth_),
      helper_(kHelperThreads, kHelperThreadsMax, "blocking calls of the uring backend") {
  for (std::uint32_t i = queue_depth_; i > 0; --i) free_slots_.push_back(i - 1);
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) throw std::system_error(errno, std::system_category(), "eventfd");
  std::promise<void> started;
  try {
    reactor_ = start_thread("cairn-reactor", [this, &started] { run(started); });
    started.get_future().get();
  } catch (...) {
    if (reactor_.joinable()) reactor_.join();
    ::close(wake_fd_);
    throw;
  }
}

UringBackend::~UringBackend() {
  shut_down(-1);
  ::close(wake_fd_);
}

void UringBackend::submit(IoOperation* operation) noexcept {
  if (!features_.supported.test(static_cast<std::size_t>(operation->request.op))) {
    helper_.submit(operation);
    return;
  }
  bool must_wake = false;
  bool refused = false;
  {
    std::lock_guard lock(mutex_);
    refused = stopping_;
    if (!refused) {
      must_wake = inbox_is_empty();
      inbox_.push(operation);
      ++under_way_;
    }
  }
  if (refused) {
    operation->result.value = -ESHUTDOWN;
    operation->result.refused = true;
    operation->complete();
  } else if (must_wake && !on_reactor()) {
    wake();  // the reactor itself looks into the inbox before it waits
  }
}

void UringBackend::cancel(IoOperation* operation) noexcept {
  // Which of the two has it cannot be asked of an operation that may be gone; both ignore a
  // stranger.
  helper_.cancel(operation);
  bool must_wake = false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    must_wake = inbox_is_empty();
    if (inbox_.remove(operation)) {
      operation->result.value = -ECANCELED;
      operation->result.refused = true;
      ended_inbox_.push(operation);
    } else {
      try {
        cancel_inbox_.push_back(operation);
      } catch (const std::bad_alloc&) {
        return;  // a cancel is a wish; the operation ends by itself
      }
    }
  }
  if (must_wake && !on_reactor()) wake();
}

BackendInfo UringBackend::info() const {
  BackendInfo info;
  info.name = "uring";
  info.reason = reason_;
  info.ring_flags = features_.flags;
  info.queue_depth = queue_depth_;
  memory_.describe(info);
  return info;
}

void UringBackend::register_memory(std::span<const std::span<std::byte>> ranges) noexcept {
  assert(!on_reactor());
  std::unique_lock lock(mutex_);
  assert(!stopping_ && offered_ == nullptr);
  offered_ = &ranges;
  wake();
  offer_taken_.wait(lock, [this] { return offered_ == nullptr; });
}

bool UringBackend::shut_down(std::int64_t timeout_ms) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  {
    std::unique_lock lock(mutex_);
    const auto quiet = [this] { return under_way_ == 0; };
    if (timeout_ms < 0) {
      idle_.wait(lock, quiet);
    } else if (!idle_.wait_until(lock, deadline, quiet)) {
      return false;
    }
  }
  std::int64_t left_ms = -1;
  if (timeout_ms >= 0) {
    const auto left = deadline - std::chrono::steady_clock::now();
    left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
    left_ms = std::max<std::int64_t>(left_ms, 0);
  }
  if (!helper_.shut_down(left_ms)) return false;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (reactor_.joinable()) reactor_.join();
  return true;
}

bool UringBackend::inbox_is_empty() const noexcept {
  return inbox_.empty() && ended_inbox_.empty() && cancel_inbox_.empty() && offered_ == nullptr;
}

bool UringBackend::on_reactor() const noexcept {
  return std::this_thread::get_id() == reactor_id_;
}

void UringBackend::wake() noexcept {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the reactor has been woken already.
  static_cast<void>(!::write(wake_fd_, &one, sizeof(one)));
}

// ---- from here on, the reactor's thread ---------------------------------------------------------

void UringBackend::run(std::promise<void>& started) noexcept {
  try {
    ring_.emplace(queue_depth_ + kExtraEntries);
    features_ = ring_->features();
    reactor_id_ = std::this_thread::get_id();
    cancels_.reserve(queue_depth_);
  } catch (...) {
    started.set_exception(std::current_exception());
    return;
  }
  arm_wake_up();
  started.set_value();
  loop();
  ring_.reset();
}

void UringBackend::loop() noexcept {
  while (take_inbox()) {
    fill_ring();
    ring_->submit_and_wait();
    reap();
  }
}

// False when it is time to stop. Otherwise the inbox is empty on return, also of what complete()
// put there meanwhile: whatever comes later comes from another thread and wakes the reactor.
//
// Cancels go first: each is for an operation that was here before it. One submitted after it may
// have the same address, when the cancel came too late for the operation that it was meant for.
bool UringBackend::take_inbox() noexcept {
  while (true) {
    OpQueue fresh;
    OpQueue ended;
    {
      std::lock_guard lock(mutex_);
      if (stopping_ && under_way_ == 0) return false;
      if (inbox_is_empty()) return true;
      if (offered_ != nullptr) {
        memory_.set_up(ring_->get(), *std::exchange(offered_, nullptr));
        offer_taken_.notify_all();
      }
      fresh.splice(inbox_);
      ended.splice(ended_inbox_);
      cancels_.swap(cancel_inbox_);
    }
    for (const IoOperation* operation : cancels_) cancel_on_reactor(operation);
    cancels_.clear();
    waiting_.splice(fresh);
    while (IoOperation* operation = ended.pop()) finish(operation);
  }
}

void UringBackend::cancel_on_reactor(const IoOperation* operation) noexcept {
  if (waiting_.remove(operation)) {
    auto* waiting = const_cast<IoOperation*>(operation);
    waiting->result.value = -ECANCELED;
    waiting->result.refused = true;
    finish(waiting);
    return;
  }
  for (std::uint32_t i = 0; i < queue_depth_; ++i) {
    Slot& slot = slots_[i];
    if (slot.operation != operation || slot.cancelled) continue;
    // The kernel would say the same of one that it did and of one that it did not carry out.
    if (operation->request.op == IoOp::close) return;
    slot.cancelled = true;
    io_uring_sqe* sqe = ring_->entry();
    io_uring_prep_cancel64(sqe, slot_tag(i, slot.generation), 0);
    io_uring_sqe_set_data64(sqe, kCancelTag);
    return;
  }
}

void UringBackend::fill_ring() noexcept {
  while (!free_slots_.empty() && !waiting_.empty()) {
    IoOperation* operation = waiting_.pop();
    const std::uint32_t index = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = slots_[index];
    assert(slot.operation == nullptr);
    slot.operation = operation;
    slot.cancelled = false;
    io_uring_sqe* sqe = ring_->entry();
    prepare(sqe, operation->request, slot);
    io_uring_sqe_set_data64(sqe, slot_tag(index, slot.generation));
  }
}

void UringBackend::prepare(io_uring_sqe* sqe, const IoRequest& r, Slot& slot) noexcept {
  const char* path = r.path.c_str();
  const char* path2 = r.path2.c_str();
  switch (r.op) {
    case IoOp::open:
      slot.how = {};
      slot.how.flags = static_cast<std::uint64_t>(r.flags);
      slot.how.mode = (r.flags & O_CREAT) != 0 ? r.mode : 0;
      slot.how.resolve = r.beneath ? RESOLVE_BENEATH : 0;
      return io_uring_prep_openat2(sqe, r.fd, path, &slot.how);
    case IoOp::close:
      return io_uring_prep_close(sqe, r.fd);
    case IoOp::read:
    case IoOp::write:
      return prepare_transfer(sqe, r);
    case IoOp::allocate:
      return io_uring_prep_fallocate(sqe, r.fd, 0, static_cast<off_t>(r.offset),
                                     static_cast<off_t>(r.length));
    case IoOp::sync_data:
      return io_uring_prep_fsync(sqe, r.fd, IORING_FSYNC_DATASYNC);
    case IoOp::sync_all:
      return io_uring_prep_fsync(sqe, r.fd, 0);
    case IoOp::make_directory:
      return io_uring_prep_mkdirat(sqe, r.fd, path, r.mode);
    case IoOp::remove_directory:
      return io_uring_prep_unlinkat(sqe, r.fd, path, AT_REMOVEDIR);
    case IoOp::unlink:
      return io_uring_prep_unlinkat(sqe, r.fd, path, 0);
    case IoOp::rename:
      return io_uring_prep_renameat(sqe, r.fd, path, r.fd2, path2, RENAME_NOREPLACE);
    case IoOp::replace:
      return io_uring_prep_renameat(sqe, r.fd, path, r.fd2, path2, 0);
    case IoOp::exchange:
      return io_uring_prep_renameat(sqe, r.fd, path, r.fd2, path2, RENAME_EXCHANGE);
    case IoOp::link:
      return io_uring_prep_linkat(sqe, r.fd, path, r.fd2, path2, 0);
    case IoOp::stat:
      return io_uring_prep_statx(sqe, r.fd, path, statx_flags(r), statx_mask(), &slot.status);
    case IoOp::truncate:
    case IoOp::write_back:
    case IoOp::list:
    case IoOp::lock:
    case IoOp::cached:
    case IoOp::watch:
      break;  // never supported here: submit() sent them to the helper
  }
  assert(false && "operation without an opcode reached the ring");
  io_uring_prep_nop(sqe);
}

void UringBackend::prepare_transfer(io_uring_sqe* sqe, const IoRequest& r) noexcept {
  const std::uint32_t length = transfer_length(r.length);
  const std::optional<int> slab = memory_.find(r.buffer, length);
  if (r.op == IoOp::read) {
    if (slab) return io_uring_prep_read_fixed(sqe, r.fd, r.buffer, length, r.offset, *slab);
    return io_uring_prep_read(sqe, r.fd, r.buffer, length, r.offset);
  }
  if (slab) return io_uring_prep_write_fixed(sqe, r.fd, r.buffer, length, r.offset, *slab);
  io_uring_prep_write(sqe, r.fd, r.buffer, length, r.offset);
}

void UringBackend::reap() noexcept {
  io_uring* ring = ring_->get();
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(ring, &cqe) == 0) {
    const std::uint64_t tag = cqe->user_data;
    const int result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    if (tag == kCancelTag) continue;
    if (tag == kWakeTag) {
      arm_wake_up();
      continue;
    }
    finish_slot(static_cast<std::uint32_t>(tag), result);
  }
}

void UringBackend::finish_slot(std::uint32_t index, int result) noexcept {
  Slot& slot = slots_[index];
  IoOperation* operation = slot.operation;
  assert(operation != nullptr);
  operation->result.value = result;
  // A worker of the kernel that was interrupted by our cancel reports EINTR.
  if (slot.cancelled && result == -EINTR) operation->result.value = -ECANCELED;
  if (operation->request.op == IoOp::stat && result >= 0) {
    operation->result.status = to_file_status(slot.status);
  }
  slot.operation = nullptr;
  ++slot.generation;
  free_slots_.push_back(index);
  finish(operation);
}

void UringBackend::finish(IoOperation* operation) noexcept {
  operation->complete();
  std::lock_guard lock(mutex_);
  assert(under_way_ > 0);
  if (--under_way_ == 0) idle_.notify_all();
}

void UringBackend::arm_wake_up() noexcept {
  std::uint64_t count = 0;
  static_cast<void>(!::read(wake_fd_, &count, sizeof(count)));  // EAGAIN the first time
  io_uring_sqe* sqe = ring_->entry();
  io_uring_prep_poll_add(sqe, wake_fd_, POLLIN);
  io_uring_sqe_set_data64(sqe, kWakeTag);
}

}  // namespace cairn::engine::internal
