#pragma once
// The strand: one thread that runs what is posted, in order.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>
#include <thread>

namespace cairn::engine::internal {

class StrandThread {
 public:
  /// `idle`: without anything to run for so long, it lets the thread go on that wakes it: save() is
  /// to return, and not to wait while what it has begun runs on its core. One that has just run
  /// something is woken at once, as the disk may wait for what it does next.
  explicit StrandThread(std::chrono::milliseconds idle = std::chrono::milliseconds(5));
  /// finish()
  ~StrandThread();
  StrandThread(const StrandThread&) = delete;
  StrandThread& operator=(const StrandThread&) = delete;

  [[nodiscard]] boost::asio::any_io_executor executor() { return context_.get_executor(); }
  [[nodiscard]] bool is_current() const noexcept { return std::this_thread::get_id() == id_; }
  /// Waits until nothing is posted and no work is outstanding, then ends the thread. Not on the
  /// strand.
  void finish();

 private:
  void run(std::chrono::milliseconds idle);

  // One thread runs it: Asio may skip waking others up. Posting from any thread stays safe.
  boost::asio::io_context context_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::thread thread_;
  std::thread::id id_;
};

}  // namespace cairn::engine::internal
