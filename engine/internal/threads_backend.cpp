#include <cairn/engine/internal/execute_blocking.h>
#include <cairn/engine/internal/thread.h>
#include <cairn/engine/internal/threads_backend.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace cairn::engine::internal {

ThreadsBackend::ThreadsBackend(unsigned threads, unsigned most, std::string reason)
    : reason_(std::move(reason)), most_(std::max({1u, threads, most})) {
  threads_.reserve(most_ + 1);
  try {
    const std::lock_guard lock(mutex_);
    while (workers_ < std::max(1u, threads)) start_worker();
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
      ++waiting_count_;
      ++under_way_;
      if (waiting_count_ > idle_workers_ && workers_ < most_) grow();
      work_ready_.notify_one();
      return;
    }
  }
  operation->result.value = -ESHUTDOWN;
  operation->result.refused = true;
  operation->complete();
}

void ThreadsBackend::cancel(IoOperation* operation) noexcept {
  std::lock_guard lock(mutex_);
  if (!waiting_.remove(operation)) return;
  --waiting_count_;
  operation->result.value = -ECANCELED;
  operation->result.refused = true;
  cancelled_.push(operation);
  cancelled_ready_.notify_one();
}

BackendInfo ThreadsBackend::info() const {
  BackendInfo info;
  info.name = "threads";
  info.reason = reason_;
  info.queue_depth = most_;
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

// With the lock held.
void ThreadsBackend::start_worker() {
  threads_.push_back(start_thread("cairn-io", [this] { work(); }));
  ++workers_;
  ++idle_workers_;
}

void ThreadsBackend::grow() noexcept {
  try {
    start_worker();
  } catch (const std::system_error&) {
    // Those that there are will come to it.
  }
}

void ThreadsBackend::work() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    work_ready_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    IoOperation* operation = waiting_.pop();
    if (operation == nullptr) return;  // stopping: shut_down() saw that nothing was under way
    --waiting_count_;
    --idle_workers_;
    lock.unlock();
    execute_blocking(operation->request, operation->result);
    lock.lock();
    ++idle_workers_;  // as good as: complete() only posts
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
