#pragma once
// A completion handler put aside until its operation is done: type-erased, so that queues need no
// templates, and holding its executor's work, so that a context does not run dry under it.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/system_executor.hpp>
#include <cassert>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cairn::engine::impl {

template <class Executor>
inline constexpr bool kIsSystemExecutor = false;
template <class Blocking, class Relationship, class Allocator>
inline constexpr bool
    kIsSystemExecutor<boost::asio::basic_system_executor<Blocking, Relationship, Allocator>> = true;

/// True for the executors of Asio's own thread pool: of handlers without one, and of use_future.
/// In a forked child that pool has no threads once the parent has used it. An any_io_executor is
/// not looked into.
template <class Executor>
[[nodiscard]] bool runs_on_system_pool([[maybe_unused]] const Executor& executor) noexcept {
  using boost::asio::execution::context;
  using boost::asio::execution::context_t;
  if constexpr (kIsSystemExecutor<Executor>) {
    return true;
  } else if constexpr (!boost::asio::can_query_v<const Executor&, context_t> ||
                       std::is_same_v<Executor, boost::asio::any_io_executor>) {
    return false;
  } else {
    using Context = typename boost::asio::query_result<const Executor&, context_t>::type;
    if constexpr (!std::is_same_v<Context, boost::asio::execution_context&>) return false;
    // Only here, where a wrapper hides what it wraps: asking for the pool starts its threads.
    const boost::asio::execution_context& pool =
        boost::asio::query(boost::asio::system_executor(), context);
    return &boost::asio::query(executor, context) == &pool;
  }
}

/// Takes the results of one operation. complete() is called at most once, from any thread; the
/// handler runs later, on its associated executor, never inside the call.
template <class... Results>
class Completion {
 public:
  Completion() noexcept = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  virtual ~Completion() = default;
  virtual void complete(Results... results) noexcept = 0;
  /// The operation cannot be, as in a forked child: a handler of Asio's own pool runs inside this
  /// call, because that pool may have no threads; any other as with complete().
  virtual void refuse(Results... results) noexcept = 0;
};

template <class Handler, class... Results>
class HandlerCompletion final : public Completion<Results...> {
 public:
  explicit HandlerCompletion(Handler handler)
      : work_(boost::asio::prefer(
            boost::asio::get_associated_executor(handler, boost::asio::system_executor()),
            boost::asio::execution::outstanding_work.tracked)),
        handler_(std::move(handler)) {}

  void complete(Results... results) noexcept override {
    auto work = std::move(work_);
    boost::asio::post(work, Call(std::move(handler_), std::move(results)...));
  }

  void refuse(Results... results) noexcept override {
    if (!runs_on_system_pool(work_)) return complete(std::move(results)...);
    Call(std::move(handler_), std::move(results)...)();
  }

 private:
  // A class, not a lambda: move-only results travel in a tuple that is opened at the call.
  class Call {
   public:
    explicit Call(Handler handler, Results... results)
        : handler_(std::move(handler)), results_(std::move(results)...) {}
    void operator()() {
      // The slot would otherwise keep what the operation put there until its next use.
      boost::asio::get_associated_cancellation_slot(handler_).clear();
      std::apply(std::move(handler_), std::move(results_));
    }

   private:
    Handler handler_;
    std::tuple<Results...> results_;
  };

  using Executor = boost::asio::associated_executor_t<Handler, boost::asio::system_executor>;
  std::decay_t<decltype(boost::asio::prefer(std::declval<Executor>(),
                                            boost::asio::execution::outstanding_work.tracked))>
      work_;
  Handler handler_;
};

/// Puts `handler` aside. `Results` are given, the handler's type is deduced.
template <class... Results, class Handler>
std::unique_ptr<Completion<Results...>> make_completion(Handler&& handler) {
  return std::make_unique<HandlerCompletion<std::decay_t<Handler>, Results...>>(
      std::forward<Handler>(handler));
}

}  // namespace cairn::engine::impl
