#pragma once
// Which errors of finished saves have been seen, and by whom. Thread-safe.
//
// An error goes (a) to its save's own future and (b) to every wait that was waiting when it
// happened, or else to the first later wait, check_for_errors() or close(). Delivered by either it
// is consumed.

#include <cairn/manager/impl/shared_state.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cairn::internal {

class ErrorBoard {
 public:
  /// One failed operation. `seen` is set by its own future.
  struct Entry {
    explicit Entry(std::exception_ptr e, bool is_advice = false)
        : error(std::move(e)), advice(is_advice) {}
    std::exception_ptr error;
    const bool advice;
    std::atomic<bool> seen{false};
  };
  using EntryPtr = std::shared_ptr<Entry>;
  using Waiter = std::shared_ptr<impl::SharedState<void>>;

  /// An operation begins; waits that start from now on wait for it.
  void begin();
  /// It failed: told to those who wait, or kept for whoever asks first. Before end(); or of what
  /// nobody waits for.
  void fail(EntryPtr failure);
  /// Nothing failed, but somebody should know: in unseen_text() and check() alone. Kept once, until
  /// it has been seen.
  void advise(std::exception_ptr what);
  /// It ended, well or not.
  void end();
  [[nodiscard]] std::size_t pending() const;
  /// A wait: set when nothing is pending, with what failed.
  [[nodiscard]] Waiter wait();
  /// Throws what nobody has seen.
  void check();
  /// Likewise, advice apart.
  void check_failures();
  /// What nobody has seen yet, for people; empty when there is nothing. They stay unseen.
  [[nodiscard]] std::string unseen_text() const;

 private:
  struct Waiting {
    Waiter waiter;
    std::vector<EntryPtr> entries;
  };
  static void finish(Waiting waiting);
  void throw_unseen(bool with_advice);

  mutable std::mutex mutex_;
  std::size_t pending_ = 0;
  std::vector<EntryPtr> unseen_;
  std::vector<Waiting> waiting_;
};

/// None: null; one: itself; several: an Error with the first's code, naming how many.
[[nodiscard]] std::exception_ptr combine(const std::vector<std::exception_ptr>& errors);

}  // namespace cairn::internal
