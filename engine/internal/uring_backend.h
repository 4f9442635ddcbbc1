#pragma once
// The io_uring backend: one reactor thread that owns one ring.
//
// submit() puts an operation into the inbox and, when the inbox was empty, wakes the reactor
// through an eventfd. The reactor moves the inbox to its own queue, fills the ring from it as slots
// are free (one slot = one operation in the kernel), and enters the kernel once for a whole batch:
// to submit and to wait. Nothing but the reactor touches the ring, which is what SINGLE_ISSUER and
// DEFER_TASKRUN ask.

#include <cairn/engine/internal/op_queue.h>
#include <cairn/engine/internal/registered_memory.h>
#include <cairn/engine/internal/ring.h>
#include <cairn/engine/internal/threads_backend.h>
#include <cairn/engine/io_backend.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <condition_variable>
#include <cstdint>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace cairn::engine::internal {

class UringBackend final : public IoBackend {
 public:
  /// Throws RingRefused where the kernel gives no ring.
  UringBackend(const BackendOptions& options, std::string reason);
  ~UringBackend() override;

  void submit(IoOperation* operation) noexcept override;
  void cancel(IoOperation* operation) noexcept override;
  [[nodiscard]] BackendInfo info() const override;
  void register_memory(std::span<const std::span<std::byte>> ranges) noexcept override;
  bool shut_down(std::int64_t timeout_ms) noexcept override;

 private:
  // What one operation in the kernel needs besides itself; the kernel writes `status`.
  struct Slot {
    IoOperation* operation = nullptr;
    std::uint32_t generation = 0;  // tells a late cancel from the slot's next user
    bool cancelled = false;
    struct open_how how {};
    struct statx status {};
  };

  [[nodiscard]] bool on_reactor() const noexcept;
  [[nodiscard]] bool inbox_is_empty() const noexcept;  // under the lock
  void run(std::promise<void>& started) noexcept;
  void loop() noexcept;
  bool take_inbox() noexcept;
  void cancel_on_reactor(const IoOperation* operation) noexcept;
  void fill_ring() noexcept;
  void prepare(io_uring_sqe* sqe, const IoRequest& request, Slot& slot) noexcept;
  void prepare_transfer(io_uring_sqe* sqe, const IoRequest& request) noexcept;
  void reap() noexcept;
  void finish_slot(std::uint32_t index, int result) noexcept;
  void finish(IoOperation* operation) noexcept;
  void wake() noexcept;
  void arm_wake_up() noexcept;

  const std::string reason_;
  const unsigned queue_depth_;
  int wake_fd_ = -1;

  // Reactor only.
  std::optional<Ring> ring_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  OpQueue waiting_;
  std::vector<IoOperation*> cancels_;
  RegisteredMemory memory_;  // describe() on any thread

  // Written before the constructor returns, then constant.
  RingFeatures features_;
  std::thread::id reactor_id_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  OpQueue inbox_;
  OpQueue ended_inbox_;  // cancelled while in the inbox, result set: to be completed
  std::vector<IoOperation*> cancel_inbox_;
  const std::span<const std::span<std::byte>>* offered_ = nullptr;  // register_memory() waits
  std::condition_variable offer_taken_;
  std::size_t under_way_ = 0;
  bool stopping_ = false;

  ThreadsBackend helper_;
  std::thread reactor_;
};

}  // namespace cairn::engine::internal
