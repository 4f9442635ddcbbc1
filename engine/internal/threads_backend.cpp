#include <cairn/engine/internal/execute_blocking.h>
#include <cairn/engine/internal/thread.h>
#include <cairn/engine/internal/threads_backend.h>

#include <cassert>
#include <cerrno>
#include <chrono>

namespace cairn::engine::internal {

ThreadsBackend::ThreadsBackend(unsigned threads, std::string reason) : reason_(std::move(reason)) {
  const unsigned count = threads == 0 ? 1 : threads;
  queue_depth_ = count;
  threads_.reserve(count + 1);
  try {
    for (unsigned i = 0; i < count; ++i) {
      threads_.push_back(start_thread("cairn-io", [this] { work(); }));
    }
    threads_.push_back(start_thread("cairn-cancel", [this] { complete_cancelled(); }));
  } catch (...) {
    stop_and_join();
    throw;
  }
}

ThreadsBackend::~ThreadsBackend() {
  shut_down(-1);
}

void ThreadsBackend::submit(IoOperation* operation) noexcept {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      waiting_.push(operation);
      ++under_way_;
      work_ready_.notify_one();
      return;
    }
  }
  operation->result.value = -ESHUTDOWN;
  operation->complete();
}

void ThreadsBackend::cancel(IoOperation* operation) noexcept {
  std::lock_guard lock(mutex_);
  if (!waiting_.remove(operation)) return;
  operation->result.value = -ECANCELED;
  cancelled_.push(operation);
  cancelled_ready_.notify_one();
}

BackendInfo ThreadsBackend::info() const {
  BackendInfo info;
  info.name = "threads";
  info.reason = reason_;
  info.queue_depth = queue_depth_;
  info.registered_reason = "buffers are registered with a ring, and this backend has none";
  return info;
}

bool ThreadsBackend::shut_down(std::int64_t timeout_ms) noexcept {
  {
    std::unique_lock lock(mutex_);
    const auto quiet = [this] { return under_way_ == 0; };
    if (timeout_ms < 0) {
      idle_.wait(lock, quiet);
    } else if (!idle_.wait_for(lock, std::chrono::milliseconds(timeout_ms), quiet)) {
      return false;
    }
    stopping_ = true;
  }
  stop_and_join();
  return true;
}

void ThreadsBackend::stop_and_join() noexcept {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_ready_.notify_all();
  cancelled_ready_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ThreadsBackend::work() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    work_ready_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    IoOperation* operation = waiting_.pop();
    if (operation == nullptr) return;  // stopping: shut_down() saw that nothing was under way
    lock.unlock();
    execute_blocking(operation->request, operation->result);
    lock.lock();
    finish(operation, lock);
  }
}

void ThreadsBackend::complete_cancelled() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    cancelled_ready_.wait(lock, [this] { return stopping_ || !cancelled_.empty(); });
    IoOperation* operation = cancelled_.pop();
    if (operation == nullptr) return;
    finish(operation, lock);
  }
}

void ThreadsBackend::finish(IoOperation* operation, std::unique_lock<std::mutex>& lock) noexcept {
  lock.unlock();
  operation->complete();
  lock.lock();
  assert(under_way_ > 0);
  if (--under_way_ == 0) idle_.notify_all();
}

}  // namespace cairn::engine::internal
