#pragma once
// First come, first served: the queue behind BufferArena and AsyncSemaphore. The head waits until
// it can be served and nobody passes it, so a large request is never starved by small ones.

#include <cairn/engine/impl/completion.h>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

namespace cairn::engine::impl {

/// Requests for `Grant`s (move-only, empty by default). Not thread-safe: its owner locks. Entries
/// that are done come out as nodes, without allocating, and are completed with finish() after
/// unlocking.
template <class Grant>
class FairQueue {
 public:
  using Waiter = std::unique_ptr<Completion<boost::system::error_code, Grant>>;
  struct Entry {
    std::size_t amount = 0;
    Waiter waiter;
    boost::system::error_code error;
    Grant grant;
  };
  /// By ticket; tickets grow, so the order of the map is the order of arrival.
  using Entries = std::map<std::uint64_t, Entry>;

  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  /// Names a request that is about to be pushed, so that its cancellation can be armed first.
  [[nodiscard]] std::uint64_t next_ticket() noexcept { return ++last_ticket_; }

  void push(std::uint64_t ticket, std::size_t amount, Waiter waiter) {
    const bool added =
        entries_.emplace(ticket, Entry{amount, std::move(waiter), {}, Grant()}).second;
    assert(added);
    static_cast<void>(added);
  }

  /// Moves the request to `done` with operation_aborted; nothing if it is not waiting.
  void abort(std::uint64_t ticket, Entries& done) {
    auto node = entries_.extract(ticket);
    if (node.empty()) return;
    node.mapped().error = boost::asio::error::operation_aborted;
    done.insert(std::move(node));
  }

  void abort_all(Entries& done) {
    while (!entries_.empty()) abort(entries_.begin()->first, done);
  }

  /// Calls `serve(entry)` for the head until it says false (not yet) or none waits.
  template <class Serve>
  void serve(Serve serve, Entries& done) {
    while (!entries_.empty() && serve(entries_.begin()->second))
      done.insert(entries_.extract(entries_.begin()));
  }

  static void finish(Entries& done) noexcept {
    for (auto& [ticket, entry] : done) entry.waiter->complete(entry.error, std::move(entry.grant));
    done.clear();
  }

 private:
  Entries entries_;
  std::uint64_t last_ticket_ = 0;
};

}  // namespace cairn::engine::impl
