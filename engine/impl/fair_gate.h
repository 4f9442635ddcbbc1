#pragma once
// First come, first served: what BufferArena and AsyncSemaphore have in common. The first request
// waits until it can be served and nobody passes it, so a large one is never starved by small ones.

#include <cairn/engine/error.h>
#include <cairn/engine/impl/completion.h>

#include <array>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace cairn::engine::impl {

/// Gives out `Grant`s (move-only, empty by default). A request belongs to a lane; whether one lane
/// may be served while an older request of another waits is for serve() to say. Thread-safe. Held
/// by shared_ptr: a cancellation slot, and what was granted, may outlive whoever owns the gate.
template <class Grant>
class FairGate : public std::enable_shared_from_this<FairGate<Grant>> {
 public:
  static constexpr unsigned kLanes = 2;  ///< numbered from 0

  FairGate() = default;
  FairGate(const FairGate&) = delete;
  FairGate& operator=(const FairGate&) = delete;
  virtual ~FairGate() = default;

  /// Completes with void(error_code, Grant). Cancellation leaves the queue with operation_aborted.
  template <class Token>
  auto async_acquire(std::size_t amount, unsigned lane, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, Grant)>(
        Initiate(this->shared_from_this()), token, amount, lane);
  }

  /// A grant at once, or an empty one; never overtakes a waiting request of its lane.
  [[nodiscard]] Grant try_acquire(std::size_t amount, unsigned lane) {
    Request request(lane);
    if (!usable() || check(amount)) return {};
    request.amount = amount;
    const std::lock_guard lock(mutex_);
    if (waiting_in_[lane] > 0) return {};
    static_cast<void>(serve(request, !waiting_.empty()));
    return std::move(request.grant);
  }

  /// Ends what waits with operation_aborted.
  void abort_all() noexcept {
    if (!usable()) return;
    Requests done;
    {
      const std::lock_guard lock(mutex_);
      for (auto& [ticket, request] : waiting_)
        request.error = boost::asio::error::operation_aborted;
      done.swap(waiting_);
      waiting_in_.fill(0);
    }
    finish(done);
  }

 protected:
  using Waiter = std::unique_ptr<Completion<error_code, Grant>>;
  struct Request {
    explicit Request(unsigned which) noexcept : lane(which) { assert(which < kLanes); }
    std::size_t amount = 0;
    unsigned lane = 0;
    Waiter waiter;
    error_code error;
    Grant grant;
  };

  /// False in a child forked after the gate was made: there the mutex may be held by a thread that
  /// is not there.
  [[nodiscard]] virtual bool usable() const noexcept = 0;
  /// Refuses what can never be served; may round the amount up.
  [[nodiscard]] virtual error_code check(std::size_t& amount) const noexcept = 0;
  /// Sets the request's grant, or its error, and returns true; false: not now. `behind`: an older
  /// request of another lane waits. With the mutex held.
  [[nodiscard]] virtual bool serve(Request& request, bool behind) = 0;

  /// Calls `give_back` with the mutex held, then serves who can be served by now.
  template <class GiveBack>
  void change(GiveBack give_back) noexcept {
    Requests done;
    {
      const std::lock_guard lock(mutex_);
      give_back();
      serve_waiting(done);
    }
    finish(done);
  }

  /// With the mutex held.
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

  mutable std::mutex mutex_;

 private:
  /// By ticket; tickets grow, so the order of the map is the order of arrival. Requests that are
  /// done move on as nodes, without allocating, and are completed after unlocking.
  using Requests = std::map<std::uint64_t, Request>;

  // A class with a constructor, where a lambda would do, by the rules for coroutines
  // (coroutine_rules.h).
  class Initiate {
   public:
    explicit Initiate(std::shared_ptr<FairGate> gate) noexcept : gate_(std::move(gate)) {}

    template <class Handler>
    void operator()(Handler&& handler, std::size_t amount, unsigned lane) const {
      // The cancellation is armed first: once the request waits its handler may run at any moment.
      const std::uint64_t ticket = gate_->next_ticket();
      auto slot = boost::asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        // Weak: a slot may outlive the gate.
        slot.assign(
            [gate = std::weak_ptr<FairGate>(gate_), ticket](boost::asio::cancellation_type) {
              if (const auto alive = gate.lock()) alive->cancel(ticket);
            });
      }
      Request request(lane);
      request.amount = amount;
      request.waiter = make_completion<error_code, Grant>(std::forward<Handler>(handler));
      gate_->acquire(ticket, std::move(request));
    }

   private:
    std::shared_ptr<FairGate> gate_;
  };

  [[nodiscard]] std::uint64_t next_ticket() noexcept {
    if (!usable()) return 0;
    const std::lock_guard lock(mutex_);
    return ++last_ticket_;
  }

  void acquire(std::uint64_t ticket, Request request) {
    if (!usable()) return request.waiter->refuse(make_error_code(Errc::forked_child), Grant());
    request.error = check(request.amount);
    if (request.error) return request.waiter->complete(request.error, Grant());
    change([&] {
      const auto [added, is_new] = waiting_.emplace(ticket, std::move(request));
      assert(is_new);
      static_cast<void>(is_new);
      ++waiting_in_[added->second.lane];
    });
  }

  void cancel(std::uint64_t ticket) noexcept {
    if (!usable()) return;
    Requests done;
    {
      const std::lock_guard lock(mutex_);
      const auto request = waiting_.find(ticket);
      if (request == waiting_.end()) return;
      request->second.error = boost::asio::error::operation_aborted;
      take_out(request, done);
      // The one that leaves may have been the first, and held others up.
      serve_waiting(done);
    }
    finish(done);
  }

  void serve_waiting(Requests& done) {
    std::uint64_t blocked = 0;       // lanes whose first request cannot be served
    std::size_t behind_blocked = 0;  // how many wait in these
    for (auto next = waiting_.begin(); behind_blocked < waiting_.size();) {
      const auto request = next++;
      const unsigned lane = request->second.lane;
      if ((blocked >> lane & 1) != 0) continue;
      if (serve(request->second, blocked != 0)) {
        take_out(request, done);
      } else {
        blocked |= std::uint64_t{1} << lane;
        behind_blocked += waiting_in_[lane];
      }
    }
  }

  void take_out(typename Requests::iterator request, Requests& done) {
    --waiting_in_[request->second.lane];
    done.insert(waiting_.extract(request));
  }

  static void finish(Requests& done) noexcept {
    for (auto& [ticket, request] : done)
      request.waiter->complete(request.error, std::move(request.grant));
    done.clear();
  }

  Requests waiting_;
  std::array<std::size_t, kLanes> waiting_in_ = {};  ///< of these, how many in each lane
  std::uint64_t last_ticket_ = 0;
};

}  // namespace cairn::engine::impl
