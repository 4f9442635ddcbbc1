#pragma once
// Structured concurrency: children that never outlive their parent.

#include <cairn/engine/coroutine_rules.h>
#include <cairn/export.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace cairn::engine {

/// What join() throws when children failed: "3 of 64 failed, first: ...". `first()` is the
/// exception of the first child that failed by itself (siblings cancelled because of it are not
/// counted as failures).
class CAIRN_EXPORT NurseryError : public std::runtime_error {
 public:
  NurseryError(const std::string& what, std::exception_ptr first, std::size_t failed,
               std::size_t total);
  [[nodiscard]] std::exception_ptr first() const noexcept { return first_; }
  [[nodiscard]] std::size_t failed() const noexcept { return failed_; }
  [[nodiscard]] std::size_t total() const noexcept { return total_; }

 private:
  std::exception_ptr first_;
  std::size_t failed_;
  std::size_t total_;
};

/// Runs coroutines on one executor (a strand) and waits for all of them. When a child fails, its
/// siblings are cancelled (terminal) and later spawns are refused silently; join() always drains
/// every child, then throws: the child's own exception where just one failed, NurseryError where
/// more did. A child that ends with operation_canceled (of boost::system or std) after it was
/// cancelled has not failed. Used on its executor only; destroying one with children alive is a bug
/// and aborts.
///
/// Cancelling the parent: inside join() or wait_below() the children are cancelled, join() still
/// drains and then throws system_error(operation_aborted), or what had failed before. But Asio
/// makes every co_await of a cancelled coroutine throw before it starts, that of join() too. So a
/// parent that can be cancelled elsewhere (any other await, any exception) must catch, switch that
/// off with `co_await this_coro::throw_if_cancelled(false)` and then join(); with_nursery() does
/// all this.
class CAIRN_EXPORT Nursery {
 public:
  explicit Nursery(boost::asio::any_io_executor executor);
  ~Nursery();
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;

  /// Starts `child` (posted, not inline). One that is cancelled before it has started never starts.
  void spawn(boost::asio::awaitable<void> child);
  /// Cancels every child alive; join() then still waits for them.
  void cancel();
  /// Waits until at most `limit` children are alive, without throwing what they failed with: the
  /// back-pressure of a bounded window. Returns true while no child has failed and none was
  /// cancelled; false at once otherwise: go to join(). When it saw the parent cancelled it leaves
  /// throw_if_cancelled off, so that join() can be reached.
  [[nodiscard]] boost::asio::awaitable<bool> wait_below(std::size_t limit);
  /// Runs `body`, which spawns children here, and then waits for all of them. A child that fails
  /// cancels `body` too (terminal), in whatever it awaits; inside join() and wait_below() it is
  /// only woken, and may go on. One body at a time. For what it throws, see with_nursery().
  [[nodiscard]] boost::asio::awaitable<void> run(boost::asio::awaitable<void> body);
  /// Waits for all children; see the class comment for what it throws. May be called again after
  /// spawns.
  [[nodiscard]] boost::asio::awaitable<void> join();
  /// Children that have not ended.
  [[nodiscard]] std::size_t alive() const noexcept;

 private:
  struct State;
  static boost::asio::awaitable<bool> wait_below(std::shared_ptr<State> state, std::size_t limit);
  static boost::asio::awaitable<void> join(std::shared_ptr<State> state);
  static boost::asio::awaitable<void> run(std::shared_ptr<State> state,
                                          boost::asio::awaitable<void> body);
  std::shared_ptr<State> state_;
};

/// Runs `body(nursery, args...)`, a coroutine, and drains the nursery whatever happens: when the
/// body throws or the caller is cancelled, the children are cancelled and awaited first; when a
/// child fails, the body is cancelled in whatever it awaits (see Nursery::run()). Throws what the
/// body threw, unless that was its cancellation because of a child, else what join() throws. `body`
/// captures nothing (a function, as a rule): its state comes as arguments, by value.
template <class Body, CoroutineParameter... Args>
requires std::invocable<Body, Nursery&, Args...> boost::asio::awaitable<void> with_nursery(
    boost::asio::any_io_executor executor, Body body, Args... args) {
  static_assert(std::is_empty_v<Body> || std::is_pointer_v<Body>, "the body must capture nothing");
  Nursery nursery(std::move(executor));
  boost::asio::awaitable<void> task = body(nursery, std::move(args)...);
  co_await nursery.run(std::move(task));
}

}  // namespace cairn::engine
