#include <cairn/engine/internal/decorator.h>

#include <cassert>
#include <chrono>

namespace cairn::engine::internal {

void Decorator::submit(IoOperation* operation) noexcept {
  auto* wrapper = new Wrapper(*this, operation);
  {
    std::lock_guard lock(mutex_);
    under_way_.emplace(operation, wrapper);
    ++unfinished_;
  }
  if (on_submit(wrapper->request, wrapper->note, wrapper)) inner_->submit(wrapper);
}

void Decorator::forward(Wrapper* wrapper) noexcept {
  inner_->submit(wrapper);
}

void Decorator::finish(Wrapper* wrapper, std::int64_t value) noexcept {
  wrapper->result.value = value;
  wrapper->complete();
}

void Decorator::cancel(IoOperation* operation) noexcept {
  // Under the lock: a wrapper is not freed, and its address not used again, while it is named here.
  std::lock_guard lock(mutex_);
  const auto found = under_way_.find(operation);
  if (found != under_way_.end()) inner_->cancel(found->second);
}

bool Decorator::shut_down(std::int64_t timeout_ms) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  {
    std::unique_lock lock(mutex_);
    const auto quiet = [this] { return unfinished_ == 0; };
    if (timeout_ms < 0) {
      idle_.wait(lock, quiet);
    } else if (!idle_.wait_until(lock, deadline, quiet)) {
      return false;
    }
  }
  return inner_->shut_down(timeout_ms);
}

void Decorator::Wrapper::complete() noexcept {
  Decorator& owner = owner_;
  IoOperation* original = original_;
  owner.on_complete(request, result, note);
  {
    std::lock_guard lock(owner.mutex_);
    owner.under_way_.erase(original);
  }
  original->request = std::move(request);
  original->result = std::move(result);
  delete this;
  original->complete();
  std::lock_guard lock(owner.mutex_);
  assert(owner.unfinished_ > 0);
  if (--owner.unfinished_ == 0) owner.idle_.notify_all();
}

}  // namespace cairn::engine::internal
