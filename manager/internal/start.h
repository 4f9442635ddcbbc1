#pragma once
// From a coroutine of the manager's to a Future of the public interface.

#include <cairn/manager/future.h>
#include <cairn/manager/internal/storage.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <string>

namespace cairn::internal {

/// A future that has failed already.
template <class T>
Future<T> failed(Error error) {
  auto state = std::make_shared<impl::SharedState<T>>();
  state->set(std::make_exception_ptr(std::move(error)), impl::Stored<T>());
  return Future<T>(state);
}

[[nodiscard]] inline Error with_operation(ErrorCode code, std::string reason, std::string operation,
                                          std::string path, std::string remedy = "") {
  ErrorContext context;
  context.operation = std::move(operation);
  context.path = std::move(path);
  context.remedy = std::move(remedy);
  return Error(code, std::move(reason), context);
}

/// What Future::cancel() needs of an operation. Touched on the strand.
struct CancelSwitch {
  asio::cancellation_signal signal;
  bool over = false;
};

/// Runs `task` on the engine's strand; its result goes to the future.
template <class T>
Future<T> start(const EnginePtr& engine, Task<T> task, std::string operation, std::string path,
                std::shared_ptr<CancelSwitch> cancel = nullptr) {
  if (engine->forked()) {
    return failed<T>(with_operation(ErrorCode::closed,
                                    "this process was forked after the engine was made", operation,
                                    path, "Make a new engine in the child"));
  }
  auto state = std::make_shared<impl::SharedState<T>>();
  auto finish = [state, operation = std::move(operation), path = std::move(path), cancel](
                    std::exception_ptr error, auto... value) {
    if (cancel) cancel->over = true;
    if (error) error = as_error(std::move(error), operation, path);
    state->set(std::move(error), impl::Stored<T>(std::move(value)...));
  };
  if (!cancel) {
    asio::co_spawn(engine->executor(), std::move(task), std::move(finish));
    return Future<T>(state);
  }
  state->on_cancel = [cancel, weak = std::weak_ptr(engine)] {
    const EnginePtr alive = weak.lock();
    if (!alive) return;
    asio::post(alive->executor(), [cancel] {
      if (!cancel->over) cancel->signal.emit(asio::cancellation_type::terminal);
    });
  };
  asio::co_spawn(engine->executor(), std::move(task),
                 asio::bind_cancellation_slot(cancel->signal.slot(), std::move(finish)));
  return Future<T>(state);
}

/// The same for what Future::cancel() may stop: its awaits end early, and what it owns is safe.
template <class T>
Future<T> start_cancellable(const EnginePtr& engine, Task<T> task, std::string operation,
                            std::string path) {
  return start(engine, std::move(task), std::move(operation), std::move(path),
               std::make_shared<CancelSwitch>());
}

}  // namespace cairn::internal
