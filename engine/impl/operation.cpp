#include <cairn/engine/impl/operation.h>
#include <unistd.h>

#include <cerrno>

namespace cairn::engine::impl {
namespace {

// A transfer that was interrupted, or refused for want of memory in the queue, is submitted again.
// The bound turns a kernel that says nothing else into an error instead of a busy loop.
constexpr int kMaxRepeats = 10'000;

}  // namespace

error_code to_error(const IoResult& result) noexcept {
  if (result.value >= 0) return {};
  // File systems give these too: xfs says ESHUTDOWN after it has shut itself down.
  if (result.refused && result.value == -EOWNERDEAD) return make_error_code(Errc::forked_child);
  if (result.refused && result.value == -ESHUTDOWN) return make_error_code(Errc::engine_closed);
  return from_errno(static_cast<int>(-result.value));
}

OperationBase::OperationBase(std::shared_ptr<Engine> owner)
    : IoOperation(IoRequest()), engine_(std::move(owner)) {}

OperationBase::~OperationBase() = default;

void OperationBase::start() noexcept {
  // The handler may run, and let the engine go, before submit() has returned.
  const std::shared_ptr<Engine> keep = engine_;
  if (begin()) {
    submit();
  } else {
    deliver();
  }
}

void OperationBase::submit() noexcept {
  references_.fetch_add(1, std::memory_order_relaxed);
  result.refused = false;
  bool refused = false;
  {
    std::lock_guard lock(mutex_);
    refused = cancelled_ && request.op != IoOp::close;
    if (!refused) engine_->submit(this);
  }
  if (refused) {
    result.value = -ECANCELED;
    result.refused = true;
    go_on();
  }
  release();
}

void OperationBase::go_on() noexcept {
  // A backend that has shut down, or is another process's, refuses whatever comes, and does so
  // inside submit(): there is no going on. After a cancel a plan may still close what it holds.
  const bool backend_gone = result.refused && result.value != -ECANCELED;
  if (next() && !backend_gone) {
    submit();
  } else {
    deliver();
  }
}

void OperationBase::complete() noexcept {
  engine_->note_completed(request, result);
  if (must_repeat()) {
    submit();
  } else {
    go_on();
  }
}

bool OperationBase::must_repeat() noexcept {
  if (result.refused) return false;
  const bool interrupted = result.value == -EINTR;
  // EAGAIN of a lock means "held elsewhere" and is an answer.
  const bool try_again = result.value == -EAGAIN && request.op != IoOp::lock;
  // After EINTR Linux has released the descriptor: closing it again might hit someone else's.
  if (interrupted && request.op == IoOp::close) result.value = 0;
  if (!(interrupted || try_again) || request.op == IoOp::close) return false;
  return ++repeats_ <= kMaxRepeats;
}

void OperationBase::cancel() noexcept {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (engine_) engine_->cancel(this);
}

void OperationBase::release() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace cairn::engine::impl
