#pragma once
// async_run(): one function on a CPU pool, its result brought back.

#include <cairn/engine/impl/completion.h>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace cairn::engine::impl {

template <class Result>
struct RunSignatureOf {
  static_assert(std::is_default_constructible_v<Result> && std::is_move_constructible_v<Result>,
                "a failed run completes with an empty result beside the exception");
  using type = void(std::exception_ptr, Result);
};
template <>
struct RunSignatureOf<void> {
  using type = void(std::exception_ptr);
};
template <class Result>
using RunSignature = typename RunSignatureOf<Result>::type;

/// The function and its completion, shared because std::function must be copyable.
template <class Work, class Result>
class RunJob {
 public:
  using Waiter = std::unique_ptr<Completion<std::exception_ptr, Result>>;
  RunJob(Work work, Waiter waiter) : work_(std::move(work)), waiter_(std::move(waiter)) {}

  void run() noexcept {
    std::exception_ptr failure;
    std::optional<Result> result;
    try {
      result.emplace((*work_)());
    } catch (...) {
      failure = std::current_exception();
    }
    work_.reset();
    waiter_->complete(std::move(failure), result ? std::move(*result) : Result());
  }

  /// Instead of run(), where no thread would ever call it.
  void refuse(std::exception_ptr why) noexcept {
    work_.reset();
    waiter_->refuse(std::move(why), Result());
  }

 private:
  std::optional<Work> work_;
  Waiter waiter_;
};

template <class Work>
class RunJob<Work, void> {
 public:
  using Waiter = std::unique_ptr<Completion<std::exception_ptr>>;
  RunJob(Work work, Waiter waiter) : work_(std::move(work)), waiter_(std::move(waiter)) {}

  void run() noexcept {
    std::exception_ptr failure;
    try {
      (*work_)();
    } catch (...) {
      failure = std::current_exception();
    }
    work_.reset();
    waiter_->complete(std::move(failure));
  }

  /// Instead of run(), where no thread would ever call it.
  void refuse(std::exception_ptr why) noexcept {
    work_.reset();
    waiter_->refuse(std::move(why));
  }

 private:
  std::optional<Work> work_;
  Waiter waiter_;
};

/// A template because the pool is declared after this header.
template <class Pool>
class InitiateRun {
 public:
  explicit InitiateRun(Pool& pool) noexcept : pool_(&pool) {}

  template <class Handler, class Work>
  void operator()(Handler&& handler, Work&& work) const {
    using Function = std::decay_t<Work>;
    using Result = std::invoke_result_t<Function&>;
    auto job = std::make_shared<RunJob<Function, Result>>(
        std::forward<Work>(work), waiter(static_cast<Result*>(nullptr), handler));
    try {
      pool_->enqueue([job] { job->run(); });
    } catch (...) {
      // Not thrown from here: the handler may own the coroutine that is being suspended.
      job->refuse(std::current_exception());
    }
  }

 private:
  template <class Result, class Handler>
  static auto waiter(Result*, Handler& handler) {
    if constexpr (std::is_void_v<Result>)
      return make_completion<std::exception_ptr>(std::move(handler));
    else
      return make_completion<std::exception_ptr, Result>(std::move(handler));
  }

  Pool* pool_;
};

}  // namespace cairn::engine::impl
