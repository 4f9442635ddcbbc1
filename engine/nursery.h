#pragma once
// Structured concurrency: children that never outlive their parent.

#include <cairn/export.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

namespace cairn::engine {

/// What join() throws when children failed: "3 of 64 failed, first: ...". `first()` is the exception of
/// the first child that failed by itself (siblings cancelled because of it are not counted as failures).
class CAIRN_EXPORT NurseryError : public std::runtime_error {
 public:
  NurseryError(const std::string& what, std::exception_ptr first, std::size_t failed, std::size_t total);
  [[nodiscard]] std::exception_ptr first() const noexcept { return first_; }
  [[nodiscard]] std::size_t failed() const noexcept { return failed_; }
  [[nodiscard]] std::size_t total() const noexcept { return total_; }

 private:
  std::exception_ptr first_;
  std::size_t failed_;
  std::size_t total_;
};

/// Runs coroutines on one executor (a strand) and waits for all of them. When a child fails, its
/// siblings are cancelled (terminal) and later spawns are refused silently; join() always drains every
/// child, then throws: the child's own exception where just one failed, NurseryError where more did.
/// If the parent is cancelled inside join(), children are cancelled, join() still drains and then throws
/// system_error(operation_aborted). Used on its executor only; destroying one with children alive is a
/// bug and aborts.
class CAIRN_EXPORT Nursery {
 public:
  explicit Nursery(boost::asio::any_io_executor executor);
  ~Nursery();
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  /// Starts `child` (posted, not inline).
  void spawn(boost::asio::awaitable<void> child);
  /// Cancels every child alive; join() then still waits for them.
  void cancel();
  /// Waits until at most `limit` children are alive, without throwing what they failed with: the
  /// back-pressure of a bounded window. Returns true while no child has failed and none was cancelled.
  [[nodiscard]] boost::asio::awaitable<bool> wait_below(std::size_t limit);
  /// Waits for all children; see the class comment for what it throws. May be called again after spawns.
  [[nodiscard]] boost::asio::awaitable<void> join();
  [[nodiscard]] std::size_t alive() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace cairn::engine
