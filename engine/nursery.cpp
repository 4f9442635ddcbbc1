#include <cairn/engine/impl/completion.h>
#include <cairn/engine/nursery.h>

#include <fmt/format.h>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <map>
#include <system_error>
#include <vector>

namespace cairn::engine {
namespace asio = boost::asio;
namespace {

bool is_cancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    return error.code() == boost::system::errc::operation_canceled;
  } catch (const std::system_error& error) {
    return error.code() == std::errc::operation_canceled;
  } catch (...) {
    return false;
  }
}

std::string message_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace

NurseryError::NurseryError(const std::string& what, std::exception_ptr first, std::size_t failed,
                           std::size_t total)
    : std::runtime_error(what), first_(std::move(first)), failed_(failed), total_(total) {}

// On one executor, so there is no lock. Shared with the handlers of the children.
struct Nursery::State : std::enable_shared_from_this<Nursery::State> {
  struct Child {
    asio::cancellation_signal signal;
    bool cancelled = false;
  };
  using Children = std::map<std::uint64_t, Child>;  // in order of spawning
  enum class WakeOn { count, count_or_stop, all };  // all: the children and the body
  struct Waiter {
    std::size_t limit;
    WakeOn wake_on;
    std::unique_ptr<impl::Completion<>> completion;
  };
  class Start;
  class Done;
  class BodyDone;
  class InitiateWait;

  explicit State(asio::any_io_executor e) : executor(std::move(e)) {}

  void spawn(asio::awaitable<void> child);
  void child_done(std::uint64_t id, std::exception_ptr failure) noexcept;
  void cancel_children();
  void start_body(asio::awaitable<void> body);
  void body_done(std::exception_ptr failure) noexcept;
  void cancel_body();
  void cancel_by_parent();
  void wake();
  std::exception_ptr take_outcome();

  asio::any_io_executor executor;
  Children children;
  // A child's signal must outlive the handler in which the child ends; it is used again later.
  std::vector<Children::node_type> spare;
  std::list<Waiter> waiters;
  asio::cancellation_signal body_signal;
  std::exception_ptr body_failure;
  bool body_runs = false;
  bool body_cancelled = false;
  std::uint64_t last_id = 0;
  std::size_t total = 0;
  std::size_t failed = 0;
  std::exception_ptr first;
  bool stopped = false;    // a child failed, or all were cancelled
  bool abandoned = false;  // the parent was cancelled: failures no longer count
};

// What runs when a child ends.
class Nursery::State::Done {
 public:
  Done(std::shared_ptr<State> state, std::uint64_t id) : state_(std::move(state)), id_(id) {}
  void operator()(std::exception_ptr failure) { state_->child_done(id_, std::move(failure)); }

 private:
  std::shared_ptr<State> state_;
  std::uint64_t id_;
};

// What runs when the body ends.
class Nursery::State::BodyDone {
 public:
  explicit BodyDone(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void operator()(std::exception_ptr failure) { state_->body_done(std::move(failure)); }

 private:
  std::shared_ptr<State> state_;
};

// co_spawn() would run the child inline up to its first await when called on the executor.
class Nursery::State::Start {
 public:
  Start(std::shared_ptr<State> state, std::uint64_t id, asio::awaitable<void> child)
      : state_(std::move(state)), id_(id), child_(std::move(child)) {}
  void operator()() {
    if (state_->stopped) {
      // Not by assignment: that of Boost 1.81 forgets the frame it had instead of destroying it.
      { const asio::awaitable<void> never_started = std::move(child_); }
      state_->child_done(id_, nullptr);
      return;
    }
    const auto slot = state_->children.at(id_).signal.slot();
    asio::co_spawn(state_->executor, std::move(child_),
                   asio::bind_cancellation_slot(slot, Done(state_, id_)));
  }

 private:
  std::shared_ptr<State> state_;
  std::uint64_t id_;
  asio::awaitable<void> child_;
};

void Nursery::State::spawn(asio::awaitable<void> child) {
  if (stopped) return;
  const std::uint64_t id = ++last_id;
  if (spare.empty()) {
    children.try_emplace(id);
  } else {
    Children::node_type node = std::move(spare.back());
    spare.pop_back();
    node.key() = id;
    node.mapped().cancelled = false;
    children.insert(std::move(node));
  }
  ++total;
  asio::post(executor, Start(shared_from_this(), id, std::move(child)));
}

void Nursery::State::child_done(std::uint64_t id, std::exception_ptr failure) noexcept {
  spare.push_back(children.extract(id));
  assert(!spare.back().empty());
  const bool counts = failure && !abandoned && !(stopped && is_cancellation(failure));
  if (counts) {
    ++failed;
    if (!first) first = std::move(failure);
    cancel_children();
    const bool in_nursery = std::any_of(waiters.begin(), waiters.end(), [](const Waiter& waiter) {
      return waiter.wake_on != WakeOn::all;
    });
    // In join() it is to see the children end, and to learn from there what failed.
    if (!in_nursery) cancel_body();
  }
  wake();
}

void Nursery::State::start_body(asio::awaitable<void> body) {
  assert(!body_runs);
  body_cancelled = false;
  body_failure = nullptr;
  if (stopped) {
    // Not by assignment, as in Start.
    const asio::awaitable<void> never_started = std::move(body);
    return;
  }
  body_runs = true;
  asio::co_spawn(executor, std::move(body),
                 asio::bind_cancellation_slot(body_signal.slot(), BodyDone(shared_from_this())));
}

void Nursery::State::body_done(std::exception_ptr failure) noexcept {
  body_runs = false;
  if (failure) cancel_children();
  body_failure = std::move(failure);
  wake();
}

void Nursery::State::cancel_body() {
  if (!body_runs || std::exchange(body_cancelled, true)) return;
  body_signal.emit(asio::cancellation_type::terminal);
}

void Nursery::State::cancel_children() {
  stopped = true;
  // A child may end inside emit(), or cancel again: the next one is looked up afresh.
  for (auto child = children.begin(); child != children.end();) {
    const std::uint64_t id = child->first;
    if (!std::exchange(child->second.cancelled, true))
      child->second.signal.emit(asio::cancellation_type::terminal);
    child = children.upper_bound(id);
  }
}

void Nursery::State::cancel_by_parent() {
  abandoned = true;
  cancel_children();
  cancel_body();
  wake();
}

void Nursery::State::wake() {
  for (auto waiter = waiters.begin(); waiter != waiters.end();) {
    const bool stop = stopped && waiter->wake_on == WakeOn::count_or_stop;
    const bool wait_for_body = body_runs && waiter->wake_on == WakeOn::all;
    if ((children.size() <= waiter->limit && !wait_for_body) || stop) {
      waiter->completion->complete();
      waiter = waiters.erase(waiter);
    } else {
      ++waiter;
    }
  }
}

// Null where all is well. The nursery is as new afterwards.
std::exception_ptr Nursery::State::take_outcome() {
  assert(children.empty());
  std::exception_ptr outcome;
  if (failed == 1) {
    outcome = first;
  } else if (failed > 1) {
    outcome = std::make_exception_ptr(
        NurseryError(fmt::format("{} of {} failed, first: {}", failed, total, message_of(first)),
                     first, failed, total));
  } else if (abandoned) {
    outcome = std::make_exception_ptr(
        boost::system::system_error(asio::error::operation_aborted, "waiting for tasks"));
  }
  total = failed = 0;
  first = nullptr;
  stopped = abandoned = false;
  spare.clear();
  return outcome;
}

// Never fails: cancellation of the parent is passed on to the children, and the wait goes on.
class Nursery::State::InitiateWait {
 public:
  InitiateWait(std::shared_ptr<State> state, std::size_t limit, WakeOn wake_on)
      : state_(std::move(state)), limit_(limit), wake_on_(wake_on) {}

  template <class Handler>
  void operator()(Handler&& handler) const {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([state = std::weak_ptr<State>(state_)](asio::cancellation_type) {
        if (const auto alive = state.lock()) alive->cancel_by_parent();
      });
    }
    state_->waiters.push_back(
        Waiter{limit_, wake_on_, impl::make_completion<>(std::forward<Handler>(handler))});
  }

 private:
  std::shared_ptr<State> state_;
  std::size_t limit_;
  WakeOn wake_on_;
};

asio::awaitable<bool> Nursery::wait_below(std::shared_ptr<State> state, std::size_t limit) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const asio::cancellation_state parent = co_await asio::this_coro::cancellation_state;
  if (parent.cancelled() != asio::cancellation_type::none) state->cancel_by_parent();
  while (state->children.size() > limit && !state->stopped) {
    State::InitiateWait wait(state, limit, State::WakeOn::count_or_stop);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(wait),
                                                                         asio::use_awaitable);
  }
  co_await asio::this_coro::throw_if_cancelled(throws && !state->abandoned);
  co_return !state->stopped;
}

asio::awaitable<void> Nursery::join(std::shared_ptr<State> state) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const asio::cancellation_state parent = co_await asio::this_coro::cancellation_state;
  if (parent.cancelled() != asio::cancellation_type::none) state->cancel_by_parent();
  while (!state->children.empty()) {
    State::InitiateWait wait(state, 0, State::WakeOn::count);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(wait),
                                                                         asio::use_awaitable);
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  const std::exception_ptr outcome = state->take_outcome();
  if (outcome) std::rethrow_exception(outcome);
}

asio::awaitable<void> Nursery::run(std::shared_ptr<State> state, asio::awaitable<void> body) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const asio::cancellation_state parent = co_await asio::this_coro::cancellation_state;
  if (parent.cancelled() != asio::cancellation_type::none) state->cancel_by_parent();
  state->start_body(std::move(body));
  while (state->body_runs || !state->children.empty()) {
    State::InitiateWait wait(state, 0, State::WakeOn::all);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(wait),
                                                                         asio::use_awaitable);
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  const std::exception_ptr outcome = state->take_outcome();
  const std::exception_ptr failure = std::exchange(state->body_failure, nullptr);
  const bool because_of_child =
      outcome && failure && state->body_cancelled && is_cancellation(failure);
  if (failure && !because_of_child) std::rethrow_exception(failure);
  if (outcome) std::rethrow_exception(outcome);
}

Nursery::Nursery(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

Nursery::~Nursery() {
  if (state_->children.empty()) return;
  // Always, not by assert(): the children would go on and use what their parent is about to
  // destroy.
  fmt::print(stderr, "cairn: a nursery was destroyed with {} children alive; join() it first\n",
             state_->children.size());
  std::abort();
}

void Nursery::spawn(asio::awaitable<void> child) {
  state_->spawn(std::move(child));
}

void Nursery::cancel() {
  state_->cancel_children();
  state_->wake();
}

asio::awaitable<bool> Nursery::wait_below(std::size_t limit) {
  return wait_below(state_, limit);
}

asio::awaitable<void> Nursery::run(asio::awaitable<void> body) {
  return run(state_, std::move(body));
}

asio::awaitable<void> Nursery::join() {
  return join(state_);
}

std::size_t Nursery::alive() const noexcept {
  return state_->children.size();
}

}  // namespace cairn::engine
