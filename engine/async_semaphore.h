#pragma once
// Counted permits for coroutines: bounds how much of something is under way.

#include <cairn/engine/error.h>
#include <cairn/engine/impl/fair_gate.h>
#include <cairn/export.h>

#include <cstddef>
#include <memory>
#include <utility>

namespace cairn::engine {

class AsyncSemaphore;

/// Permits held, given back on destruction (from any thread). Move-only.
class CAIRN_EXPORT Permit {
 public:
  Permit() noexcept = default;
  Permit(Permit&& other) noexcept;
  Permit& operator=(Permit&& other) noexcept;
  ~Permit();

  /// How many; reset() gives them back at once.
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  explicit operator bool() const noexcept { return count_ > 0; }
  void reset() noexcept;

 private:
  friend class AsyncSemaphore;
  struct Core;
  Permit(std::shared_ptr<Core> core, std::size_t count) noexcept;
  std::shared_ptr<Core> core_;
  std::size_t count_ = 0;
};

/// `permits` of them, handed out in the order of asking: a large request is not starved by small
/// ones. Thread-safe.
class CAIRN_EXPORT AsyncSemaphore {
 public:
  explicit AsyncSemaphore(std::size_t permits);
  /// Ends what waits with operation_aborted. Permits given out may outlive it.
  ~AsyncSemaphore();
  AsyncSemaphore(const AsyncSemaphore&) = delete;
  AsyncSemaphore& operator=(const AsyncSemaphore&) = delete;

  /// Completes with void(error_code, Permit) when `count` permits are free. More than there are:
  /// Errc::request_too_large. Cancellation leaves the queue with operation_aborted. A handler
  /// without an executor runs on Asio's own thread pool.
  template <class Token>
  auto async_acquire(std::size_t count, Token&& token);
  /// Permits at once, or none; never overtakes a waiting request.
  [[nodiscard]] Permit try_acquire(std::size_t count);
  /// Permits that nobody has.
  [[nodiscard]] std::size_t available() const;
  /// Requests in the queue.
  [[nodiscard]] std::size_t waiting() const;

 private:
  using Core = Permit::Core;
  static constexpr unsigned kLane = 0;
  [[nodiscard]] impl::FairGate<Permit>& gate() noexcept;

  std::shared_ptr<Core> core_;
};

template <class Token>
auto AsyncSemaphore::async_acquire(std::size_t count, Token&& token) {
  return gate().async_acquire(count, kLane, std::forward<Token>(token));
}

}  // namespace cairn::engine
