#pragma once
// What asynchronous members return. Wait for it from a coroutine, from a plain thread, or with any
// Asio completion token.

#include <cairn/export.h>
#include <cairn/manager/impl/shared_state.h>

#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

namespace cairn {

/// The result of one operation, or the Error that ended it. Thread-safe; one consumer: the value is
/// moved out to whoever takes it first, and later ones get invalid_argument. Dropping it neither
/// cancels nor blocks the operation. In a child forked after the operation began the result is
/// ErrorCode::closed. It is not awaitable itself: await result(), or of a SaveFuture staged() or
/// committed().
///
///     Restored r = co_await manager.restore().result();   // in a coroutine on any Asio executor
///     Restored r = manager.restore().get();               // on a plain thread
///     manager.restore().result(callback);                 // void(std::exception_ptr, Restored)
template <class T>
class [[nodiscard]] Future {
 public:
  explicit Future(std::shared_ptr<impl::SharedState<T>> state) noexcept
      : state_(std::move(state)) {}

  /// True when the result is there.
  [[nodiscard]] bool ready() const { return state_->ready(); }
  /// Blocks until the result is there; returns it or throws. Works on the only thread of the
  /// caller's io_context; on an engine's own thread (inside a user callback) it throws instead of
  /// deadlocking.
  T get() {
    state_->wait();
    auto [error, value] = state_->deliver();
    if (error) std::rethrow_exception(error);
    if constexpr (!std::is_void_v<T>) return std::move(value);
  }
  /// Asks the operation to stop, where its member says that it can be stopped; does nothing
  /// elsewhere and when it is over. It then fails with ErrorCode::cancelled, once it no longer uses
  /// anybody's memory. Returns at once.
  void cancel() const {
    if (state_->on_cancel) state_->on_cancel();
  }
  /// Completes with void(std::exception_ptr, T) (void(std::exception_ptr) where T is void), on the
  /// handler's associated executor; a plain callback, which has none, runs on a thread of Asio's
  /// own pool (system_executor): bind_executor() names another. Cancelling the wait leaves the
  /// operation alone.
  template <class Token = boost::asio::use_awaitable_t<>>
  auto result(Token&& token = Token()) const {
    return boost::asio::async_initiate<Token, typename impl::Signature<T>::type>(
        [](auto handler, std::shared_ptr<impl::SharedState<T>> state) {
          impl::start_wait<T>(state, std::move(handler), boost::asio::system_executor());
        },
        token, state_);
  }

 private:
  std::shared_ptr<impl::SharedState<T>> state_;
};

}  // namespace cairn
