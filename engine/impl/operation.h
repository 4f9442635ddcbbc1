#pragma once
// How an asynchronous operation of engine/file.h runs: a Plan decides which requests follow each
// other and what the handler gets; an Operation carries the plan out for one handler.
//
// Lifetime. The backend owns an operation from submit() until complete(); then the closure that was
// posted to the handler's executor owns it. Whoever submits holds a reference of its own meanwhile,
// because the operation may complete, and its handler run, before submit() has returned.
// Cancellation. The slot's function runs on the handler's executor, where the closure clears the
// slot before it lets the operation go: a cancel never sees a dead operation.

#include <cairn/engine/engine.h>
#include <cairn/engine/error.h>
#include <cairn/engine/impl/completion.h>
#include <cairn/export.h>

#include <atomic>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

namespace cairn::engine::impl {

/// The error of a result; none where its value is >= 0.
[[nodiscard]] CAIRN_EXPORT error_code to_error(const IoResult& result) noexcept;

/// What does not depend on plan and handler.
class CAIRN_EXPORT OperationBase : public IoOperation {
 public:
  /// Called once. The plan's begin() says whether there is anything to submit.
  void start() noexcept;
  void complete() noexcept final;
  /// From the cancellation slot: no further request is submitted, the one under way is cancelled.
  void cancel() noexcept;

 protected:
  explicit OperationBase(std::shared_ptr<Engine> owner);
  ~OperationBase() override;

  /// Prepares `request`; false when there is nothing to submit.
  virtual bool begin() noexcept = 0;
  /// Looks at `result`; true when `request` is to be submitted (again).
  virtual bool next() noexcept = 0;
  /// Posts the handler's closure.
  virtual void deliver() noexcept = 0;
  /// Gives up one reference; the last one destroys the operation.
  void release() noexcept;
  [[nodiscard]] bool in_forked_child() const noexcept { return engine_->forked(); }
  /// The engine, leaving none here: the backend's threads must not be the last to let it go.
  [[nodiscard]] std::shared_ptr<Engine> take_engine() noexcept { return std::move(engine_); }

 private:
  void submit() noexcept;
  void go_on() noexcept;
  [[nodiscard]] bool must_repeat() noexcept;

  std::shared_ptr<Engine> engine_;
  std::mutex mutex_;  // orders a cancel against a submission
  bool cancelled_ = false;
  std::atomic<int> references_{1};
  int repeats_ = 0;
};

template <class Plan, class Handler>
class Operation final : public OperationBase {
 public:
  using Executor = boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>;
  using Work = std::decay_t<typename boost::asio::prefer_result<
      const Executor&, boost::asio::execution::outstanding_work_t::tracked_t>::type>;

  Operation(std::shared_ptr<Engine> owner, Plan plan, Handler handler)
      : OperationBase(owner),
        plan_(std::move(plan)),
        handler_(std::move(handler)),
        work_(work_of(handler_, *owner)) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) slot.template emplace<Canceller>(this);
  }

 private:
  struct Canceller {
    explicit Canceller(Operation* target) noexcept : operation(target) {}
    // "total" promises that a cancelled operation had no effect; writes cannot keep that promise.
    void operator()(boost::asio::cancellation_type type) const noexcept {
      using boost::asio::cancellation_type;
      if ((type & (cancellation_type::terminal | cancellation_type::partial)) !=
          cancellation_type::none) {
        operation->cancel();
      }
    }
    Operation* operation;
  };

  // Owns the operation on its way to the executor, which may drop it without a call.
  struct Closure {
    struct Release {
      void operator()(Operation* operation) const noexcept { operation->finish(); }
    };
    explicit Closure(Operation* operation) noexcept : owned(operation) {}
    void operator()() {
      auto slot = boost::asio::get_associated_cancellation_slot(owned->handler_);
      if (slot.is_connected()) slot.clear();
      Handler handler(std::move(owned->handler_));
      Plan plan(std::move(owned->plan_));
      owned.reset();
      plan.invoke(handler);
    }
    std::unique_ptr<Operation, Release> owned;
  };

  static constexpr bool kMayLackExecutor = std::is_same_v<Executor, boost::asio::any_io_executor>;

  // The handler's own executor, or else the engine's. None where that is of no use: in a forked
  // child the strand has no thread.
  static Work work_of(const Handler& handler, Engine& engine) {
    Executor executor =
        boost::asio::get_associated_executor(handler, boost::asio::any_io_executor());
    if constexpr (kMayLackExecutor) {
      if (!executor && engine.forked()) return Work();
      if (!executor) executor = engine.executor();
    }
    return boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked);
  }
  [[nodiscard]] bool executor_has_no_thread() const noexcept {
    if (!in_forked_child()) return false;
    if constexpr (kMayLackExecutor) {
      if (!work_) return true;
    }
    return runs_on_system_pool(work_);
  }

  bool begin() noexcept override { return plan_.begin(request, result); }
  bool next() noexcept override { return plan_.next(request, result); }
  void deliver() noexcept override {
    if (executor_has_no_thread()) return Closure(this)();
    Work executor(work_);
    boost::asio::post(executor, Closure(this));
  }
  void finish() noexcept {
    const std::shared_ptr<Engine> engine = take_engine();
    release();
  }

  Plan plan_;
  Handler handler_;
  Work work_;
};

/// The initiation of every operation. Stateless, and its arguments have constructors: g++ 12
/// destroys captures and aggregates inside a co_await expression twice.
template <class Plan>
struct Start {
  template <class Handler>
  void operator()(Handler&& handler, std::shared_ptr<Engine> engine, Plan plan) const {
    using Op = Operation<Plan, std::decay_t<Handler>>;
    auto* operation = new Op(std::move(engine), std::move(plan), std::forward<Handler>(handler));
    operation->start();
  }
};

template <class Plan, class Token>
auto initiate(std::shared_ptr<Engine> engine, Plan plan, Token& token) {
  return boost::asio::async_initiate<Token, typename Plan::Signature>(
      Start<Plan>(), token, std::move(engine), std::move(plan));
}

}  // namespace cairn::engine::impl
