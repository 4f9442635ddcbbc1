#pragma once
// Which errors of finished saves have been seen, and by whom. Thread-safe.
//
// An error goes (a) to its save's own future and (b) to every wait that was waiting when it
// happened, or else to the first later wait, check_for_errors() or close(). Delivered by either it
// is consumed. What a wait has taken is nobody else's while somebody has that wait, whether or not
// he has asked it yet; where he drops it, the error is to be told again.

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
  using Waiter = std::shared_ptr<impl::SharedState<void>>;
  /// One failed operation. `seen` is set by its own future.
  struct Entry {
    explicit Entry(std::exception_ptr e, bool is_advice = false)
        : error(std::move(e)), advice(is_advice) {}
    std::exception_ptr error;
    const bool advice;
    std::atomic<bool> seen{false};
    std::vector<std::weak_ptr<impl::SharedState<void>>> takers;  ///< waits; the board's mutex
  };
  using EntryPtr = std::shared_ptr<Entry>;

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
    std::weak_ptr<impl::SharedState<void>> waiter;  ///< gone where nobody has it any more
    std::vector<EntryPtr> earlier;  ///< not for it where their own futures have told them since
    std::vector<EntryPtr> entries;  ///< that failed meanwhile
  };
  /// Under the mutex: who drops the wait as soon as it is over, and asks, is to find it gone.
  static void finish(Waiting waiting);
  /// A wait that somebody has will tell it.
  [[nodiscard]] static bool is_taken(const Entry& entry);
  void throw_unseen(bool with_advice);

  mutable std::mutex mutex_;
  std::size_t pending_ = 0;
  std::vector<EntryPtr> unseen_;
  std::vector<Waiting> waiting_;
};

/// None: null; one: itself; several: an Error with the first's code, naming how many.
[[nodiscard]] std::exception_ptr combine(const std::vector<std::exception_ptr>& errors);

}  // namespace cairn::internal
