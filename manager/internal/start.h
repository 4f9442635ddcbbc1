#pragma once
// From a coroutine of the manager's to a Future of the public interface.

#include <cairn/manager/future.h>
#include <cairn/manager/internal/storage.h>

#include <boost/asio/co_spawn.hpp>
#include <memory>
#include <string>

namespace cairn::internal {

/// Runs `task` on the engine's strand and gives its result to `state`.
template <class T>
Future<T> start(const EnginePtr& engine, Task<T> task, std::string operation, std::string path) {
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
