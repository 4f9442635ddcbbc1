#pragma once
// Counted permits for coroutines: bounds how much of something is under way.

#include <cairn/engine/error.h>
#include <cairn/engine/impl/completion.h>
#include <cairn/export.h>
#include <boost/asio/async_result.hpp>

#include <cstddef>
#include <cstdint>
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
  [[nodiscard]] std::size_t available() const;
  [[nodiscard]] std::size_t waiting() const;

 private:
  using Core = Permit::Core;
  using Waiter = std::unique_ptr<impl::Completion<error_code, Permit>>;
  class Initiate;
  [[nodiscard]] static std::uint64_t next_ticket(Core& core) noexcept;
  static void acquire(const std::shared_ptr<Core>& core, std::uint64_t ticket, std::size_t count,
                      Waiter waiter);
  static void cancel(const std::shared_ptr<Core>& core, std::uint64_t ticket) noexcept;

  std::shared_ptr<Core> core_;
};

// A class with a constructor, where a lambda would do, by the rules for coroutines
// (coroutine_rules.h).
class AsyncSemaphore::Initiate {
 public:
  explicit Initiate(std::shared_ptr<Core> core) noexcept : core_(std::move(core)) {}

  template <class Handler>
  void operator()(Handler&& handler, std::size_t count) const {
    const std::uint64_t ticket = next_ticket(*core_);
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([core = std::weak_ptr<Core>(core_), ticket](boost::asio::cancellation_type) {
        if (const auto alive = core.lock()) cancel(alive, ticket);
      });
    }
    acquire(core_, ticket, count,
            impl::make_completion<error_code, Permit>(std::forward<Handler>(handler)));
  }

 private:
  std::shared_ptr<Core> core_;
};

template <class Token>
auto AsyncSemaphore::async_acquire(std::size_t count, Token&& token) {
  return boost::asio::async_initiate<Token, void(error_code, Permit)>(Initiate(core_), token,
                                                                      count);
}

}  // namespace cairn::engine
