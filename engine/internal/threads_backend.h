#pragma once
// The thread backend: a pool that makes plain system calls. Also the helper of the uring backend
// for what has no opcode.

#include <cairn/engine/internal/op_queue.h>
#include <cairn/engine/io_backend.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cairn::engine::internal {

class ThreadsBackend final : public IoBackend {
 public:
  /// `threads` at once, and up to `most` as calls take long: one more whenever all are busy and an
  /// operation waits, so that calls that hang do not stop those behind them. Throws
  /// std::system_error when the first ones cannot be started.
  ThreadsBackend(unsigned threads, unsigned most, std::string reason);
  ~ThreadsBackend() override;

  void submit(IoOperation* operation) noexcept override;
  void cancel(IoOperation* operation) noexcept override;
  [[nodiscard]] BackendInfo info() const override;
  bool shut_down(std::int64_t timeout_ms) noexcept override;

 private:
  void work() noexcept;
  void start_worker();
  void grow() noexcept;
  void complete_cancelled() noexcept;
  void finish(IoOperation* operation, std::unique_lock<std::mutex>& lock) noexcept;
  void stop_and_join() noexcept;

  const std::string reason_;
  mutable std::mutex mutex_;
  std::condition_variable work_ready_;
  std::condition_variable idle_;
  OpQueue waiting_;
  // Result set already. A thread of their own completes them: all workers may hang in the kernel.
  OpQueue cancelled_;
  std::condition_variable cancelled_ready_;
  std::size_t under_way_ = 0;
  std::size_t waiting_count_ = 0;  // in waiting_
  unsigned workers_ = 0;
  unsigned idle_workers_ = 0;
  const unsigned most_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace cairn::engine::internal
