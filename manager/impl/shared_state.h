#pragma once
// What stands behind every future of the public interface: a result that is set once, waited for
// from any thread, by blocking or with a completion token.

#include <cairn/engine/impl/completion.h>
#include <cairn/export.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/system/system_error.hpp>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace cairn::impl {

/// Value of a Future<void>.
using Unit = std::monostate;
template <class T>
using Stored = std::conditional_t<std::is_void_v<T>, Unit, T>;
template <class T>
struct Signature {
  using type = void(std::exception_ptr, T);
};
template <>
struct Signature<void> {
  using type = void(std::exception_ptr);
};

/// Whether every waiter gets a copy of the result; otherwise the first one takes it.
template <class T>
struct DeliverByCopy : std::is_void<T> {};

/// The same error in an exception object of its own; null for null. Exceptions are shared between
/// threads by counts inside the C++ runtime, which no sanitizer sees: so that none has to, every
/// receiver gets its own.
[[nodiscard]] CAIRN_EXPORT std::exception_ptr own_copy(const std::exception_ptr& error);

/// Throws when the calling thread is one that must not block (an engine's strand); set by the
/// library.
CAIRN_EXPORT void refuse_blocking_on_engine_threads();

/// How many fork()s lie between the first call in this line of processes and the calling one. Costs
/// no system call.
[[nodiscard]] CAIRN_EXPORT std::uint64_t fork_generation() noexcept;
/// ErrorCode::closed: what in a forked child becomes of a wait for what the parent began.
[[nodiscard]] CAIRN_EXPORT std::exception_ptr forked_failure();
/// ErrorCode::invalid_argument: what a second taker of a value gets.
[[nodiscard]] CAIRN_EXPORT std::exception_ptr taken_failure();

/// Thread-safe. set() is called once. In a child of the process that made it nothing will ever set
/// it, and threads that the child does not have may hold its mutex: there it is ready, and every
/// wait fails with closed.
template <class T>
class SharedState : public std::enable_shared_from_this<SharedState<T>> {
 public:
  using Value = Stored<T>;
  using Waiter = std::function<void(std::exception_ptr)>;

  /// Called at most once when a result is delivered, under no lock: tells that somebody has seen
  /// it.
  std::function<void()> on_delivered;
  /// Asks what will set the result to stop; may be empty. Set before anybody else has the state.
  std::function<void()> on_cancel;

  void set(std::exception_ptr error, Value value) {
    std::map<std::uint64_t, Waiter> waiters;
    {
      const std::lock_guard lock(mutex_);
      error_ = std::move(error);
      value_.emplace(std::move(value));
      waiters.swap(waiters_);
    }
    changed_.notify_all();
    for (auto& [id, waiter] : waiters) waiter(nullptr);
  }

  [[nodiscard]] bool forked() const noexcept { return generation_ != fork_generation(); }

  [[nodiscard]] bool ready() const {
    if (forked()) return true;
    const std::lock_guard lock(mutex_);
    return value_.has_value();
  }

  /// An id for when_ready() and drop(). Apart, so that a cancellation slot can be set up before the
  /// wait begins: once it has begun the handler may run, elsewhere, at any moment.
  [[nodiscard]] std::uint64_t next_id() {
    const std::lock_guard lock(mutex_);
    return ++last_id_;
  }

  /// Calls `waiter` when ready (at once if it is), on an unspecified thread; the argument is null,
  /// or the reason why the wait itself ended early.
  void when_ready(std::uint64_t id, Waiter waiter) {
    {
      const std::lock_guard lock(mutex_);
      if (!value_.has_value()) {
        waiters_.emplace(id, std::move(waiter));
        return;
      }
    }
    waiter(nullptr);
  }

  /// Ends one wait early, if it is still waiting.
  void drop(std::uint64_t id) {
    Waiter waiter;
    {
      const std::lock_guard lock(mutex_);
      const auto found = waiters_.find(id);
      if (found == waiters_.end()) return;
      waiter = std::move(found->second);
      waiters_.erase(found);
    }
    waiter(std::make_exception_ptr(
        boost::system::system_error(boost::asio::error::operation_aborted)));
  }

  void wait() const {
    if (forked()) std::rethrow_exception(forked_failure());
    {
      const std::lock_guard lock(mutex_);
      if (value_.has_value()) return;
    }
    refuse_blocking_on_engine_threads();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return value_.has_value(); });
  }

  /// Needs ready(). The pair that a handler gets.
  [[nodiscard]] std::pair<std::exception_ptr, Value> deliver() {
    std::function<void()> delivered;
    std::pair<std::exception_ptr, Value> result;
    {
      const std::lock_guard lock(mutex_);
      result.first = own_copy(error_);
      if constexpr (DeliverByCopy<T>::value) {
        result.second = *value_;
      } else if (!error_ && std::exchange(taken_, true)) {
        result.first = taken_failure();
      } else {
        result.second = std::move(*value_);
      }
      delivered.swap(on_delivered);
    }
    if (delivered) delivered();
    return result;
  }

 private:
  const std::uint64_t generation_ = fork_generation();
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::exception_ptr error_;
  std::optional<Value> value_;
  bool taken_ = false;
  std::map<std::uint64_t, Waiter> waiters_;
  std::uint64_t last_id_ = 0;
};

/// Calls `handler` with the result, on its associated executor.
template <class T, class Handler>
void complete_with(Handler&& handler, std::exception_ptr error, Stored<T> value) {
  if constexpr (std::is_void_v<T>) {
    std::forward<Handler>(handler)(std::move(error));
  } else {
    std::forward<Handler>(handler)(std::move(error), std::move(value));
  }
}

/// A wait in a forked child. A handler without an executor runs inside the call: Asio's own threads
/// may be the parent's.
template <class T, class Handler>
void refuse_wait(Handler&& handler) {
  if constexpr (std::is_void_v<T>) {
    engine::impl::make_completion<std::exception_ptr>(std::forward<Handler>(handler))
        ->refuse(forked_failure());
  } else {
    engine::impl::make_completion<std::exception_ptr, T>(std::forward<Handler>(handler))
        ->refuse(forked_failure(), T());
  }
}

/// Starts a wait: the body of every token-taking member. The handler's executor has its work
/// tracked from here until the handler has been posted to it; cancelling the slot ends the wait,
/// not what is waited for.
template <class T, class Handler>
void start_wait(const std::shared_ptr<SharedState<T>>& state, Handler&& handler,
                const boost::asio::any_io_executor& fallback) {
  namespace asio = boost::asio;
  using H = std::decay_t<Handler>;
  if (state->forked()) {
    refuse_wait<T>(std::forward<Handler>(handler));
    return;
  }
  auto slot = asio::get_associated_cancellation_slot(handler);
  auto executor =
      asio::prefer(asio::any_io_executor(asio::get_associated_executor(handler, fallback)),
                   asio::execution::outstanding_work.tracked);
  // Shared, because std::function wants copies; called once.
  auto shared = std::make_shared<H>(std::forward<Handler>(handler));
  std::weak_ptr<SharedState<T>> weak = state;
  const std::uint64_t id = state->next_id();
  if (slot.is_connected()) {
    slot.assign([weak, id](asio::cancellation_type) {
      if (auto alive = weak.lock()) alive->drop(id);
    });
  }
  state->when_ready(id, [state, shared, executor](std::exception_ptr early) {
    asio::post(executor, [state, shared, early = std::move(early)]() mutable {
      H taken = std::move(*shared);
      shared.reset();
      auto taken_slot = asio::get_associated_cancellation_slot(taken);
      if (taken_slot.is_connected()) taken_slot.clear();
      if (early) {
        complete_with<T>(std::move(taken), std::move(early), Stored<T>());
        return;
      }
      auto result = state->deliver();
      complete_with<T>(std::move(taken), std::move(result.first), std::move(result.second));
    });
  });
}

}  // namespace cairn::impl
