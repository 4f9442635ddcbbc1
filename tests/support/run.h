#pragma once
// Drives coroutines on an io_context of the test's own, on the test's thread.

#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace cairn::test {

/// A coroutine that has been started; says when it is done and what it gave.
template <class T>
class Started {
 public:
  template <class Executor>
  Started(Executor executor, boost::asio::awaitable<T> task,
          boost::asio::cancellation_slot slot = {}) {
    boost::asio::co_spawn(executor, std::move(task),
                          boost::asio::bind_cancellation_slot(slot, Sink(state_)));
  }

  [[nodiscard]] bool done() const { return state_->done; }
  /// Throws what the coroutine threw; it must be done.
  T get() {
    if (!state_->done) throw std::logic_error("the coroutine has not ended");
    if (state_->failure) std::rethrow_exception(state_->failure);
    if constexpr (!std::is_void_v<T>) return std::move(*state_->value);
  }

 private:
  struct Nothing {};
  using Value = std::conditional_t<std::is_void_v<T>, Nothing, T>;
  struct State {
    bool done = false;
    std::exception_ptr failure;
    std::optional<Value> value;
  };
  class Sink {
   public:
    explicit Sink(std::shared_ptr<State> state) : state_(std::move(state)) {}
    void operator()(std::exception_ptr failure) { finish(std::move(failure)); }
    template <class U>
    void operator()(std::exception_ptr failure, U value) {
      state_->value.emplace(std::move(value));
      finish(std::move(failure));
    }

   private:
    void finish(std::exception_ptr failure) {
      state_->failure = std::move(failure);
      state_->done = true;
    }
    std::shared_ptr<State> state_;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// Runs `task` to its end and gives what it gives. Fails where it still waits when nothing is left
/// to run, rather than hanging.
template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> task) {
  Started<T> started(context.get_executor(), std::move(task));
  context.restart();
  context.run();
  return started.get();
}

}  // namespace cairn::test
