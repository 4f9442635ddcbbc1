#pragma once
// From a coroutine of the manager's to a Future of the public interface.

#include <cairn/manager/future.h>
#include <cairn/manager/internal/storage.h>

#include <boost/asio/co_spawn.hpp>
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

/// Runs `task` on the engine's strand and gives its result to `state`.
template <class T>
Future<T> start(const EnginePtr& engine, Task<T> task, std::string operation, std::string path) {
  if (engine->forked()) {
    return failed<T>(with_operation(ErrorCode::closed,
                                    "this process was forked after the engine was made", operation,
                                    path, "Make a new engine in the child"));
  }
  auto state = std::make_shared<impl::SharedState<T>>();
  auto finish = [state, operation = std::move(operation), path = std::move(path)](
                    std::exception_ptr error, auto... value) {
    if (error) error = as_error(std::move(error), operation, path);
    state->set(std::move(error), impl::Stored<T>(std::move(value)...));
  };
  asio::co_spawn(engine->executor(), std::move(task), std::move(finish));
  return Future<T>(state);
}

}  // namespace cairn::internal
