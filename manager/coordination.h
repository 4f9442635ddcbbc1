#pragma once
// How the processes of one job act as one: barriers, broadcasts, gathers and agreements, by name.
// What a CheckpointManager asks of MPI, of sockets, or of nobody where there is one process.

#include <cairn/engine/clock.h>
#include <cairn/export.h>
#include <cairn/manager/error.h>
#include <cairn/manager/impl/collective.h>

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn {

/// How long to wait, and for whom.
struct CollectiveOptions {
  /// Implicit: barrier(name, 30s). `time` > 0, by the coordinator's clock.
  template <class Rep, class Period>
  CollectiveOptions(  // NOLINT(google-explicit-constructor): a time is all that most calls give
      std::chrono::duration<Rep, Period> time, std::vector<ProcessIndex> participants = {})
      : timeout(std::chrono::duration_cast<engine::Clock::Duration>(time)),
        processes(std::move(participants)) {}
  /// For operations that wait as long as it takes.
  static constexpr engine::Clock::Duration kNoTimeout = engine::Clock::Duration::max();

  /// Of this process, from its call.
  engine::Clock::Duration timeout;
  /// Those who take part, this process among them, in any order; the same set in each of them.
  /// Empty = all.
  std::vector<ProcessIndex> processes;
};

/// One per process; all have the same process_count(). Thread-safe: several managers may share one
/// as long as their names differ.
///
/// **Operations.** Processes that call an operation with one name meet in it. Each of the four is a
/// barrier too: it completes when every participant has called it, for all of them or, with an
/// error, for none; only a process that dies, is cut off or cancels may not learn of a success. The
/// end may lie a second behind the timeout, where nobody says who is missing.
/// Operations of different names are independent, in whatever order each process starts them.
/// Those who meet must call it alike (kind, root, agreement, participants), or it fails for all.
///
/// **Names** have 1 to kNameBytesMax bytes and are dotted paths by convention: the step, a number
/// that tells one attempt from the next, what is waited for ("save.12.3.commit"). One process has a
/// name under way once. A name may be used again after it succeeded; after it failed it is spent,
/// and whoever comes later gets the same error at once (the newest kSpentNamesMax are remembered).
///
/// **Completion** is void(std::exception_ptr, result), on the handler's associated executor, never
/// inside the call. No member blocks. Cancelling through the handler's slot ends the operation
/// here, with system_error(operation_aborted), and makes the others fail with `cancelled`. Errors
/// are Error with context().operation "barrier 'save.12.3.commit'" and a reason that names
/// processes:
///  - timed_out: some participants have not come in this process's or another's time; they are
///    named;
///  - what was given to fail(); io_error: a participant died, or its connection broke; closed: it
///    (or this process) ended its coordinator, or this is a forked child;
///  - cancelled: another participant cancelled it;
///  - invalid_argument: a name, timeout, participant or root that cannot be, a name that is under
///    way here, or participants that call the same name differently;
///  - resource_exhausted: a contribution above kContributionBytesMax, a gather above
///    kGatheredBytesMax, more than kOperationsMax under way.
///
/// Destruction ends what is under way with `closed`, here and in the others; it does not block on
/// an engine's strand and elsewhere only while what has been sent can be delivered, for a few
/// seconds at most. Process 0 may be the one that the others meet at: it ends last.
class CAIRN_EXPORT Coordinator {
 public:
  static constexpr ProcessIndex kProcessesMax = 65'536;
  static constexpr std::size_t kNameBytesMax = 256;
  static constexpr std::size_t kContributionBytesMax = 64u << 20;
  static constexpr std::size_t kGatheredBytesMax = 256u << 20;
  static constexpr std::size_t kOperationsMax = 1024;  ///< under way, per process
  static constexpr std::size_t kSpentNamesMax = 4096;
  static constexpr std::size_t kAnnouncementsMax = 1024;

  Coordinator() = default;
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;
  virtual ~Coordinator() = default;

  /// This process, below process_count().
  [[nodiscard]] virtual ProcessIndex process_index() const noexcept = 0;
  [[nodiscard]] virtual ProcessIndex process_count() const noexcept = 0;

  /// 1, 2, 3, ... for each `key`: numbers for names, where every process makes the same things in
  /// the same order. Local; asks nobody.
  [[nodiscard]] std::uint64_t next_number(const std::string& key);

  /// Completes when every participant has called it. void(std::exception_ptr).
  template <class Token = boost::asio::use_awaitable_t<>>
  auto barrier(std::string name, CollectiveOptions options, Token&& token = Token());

  /// Gives every participant the `bytes` of `root` (the others' are ignored).
  /// void(std::exception_ptr, std::string).
  template <class Token = boost::asio::use_awaitable_t<>>
  auto broadcast(std::string name, std::string bytes, ProcessIndex root, CollectiveOptions options,
                 Token&& token = Token());

  /// Gives `root` the bytes of every participant, by ascending process index, and the others
  /// nothing. void(std::exception_ptr, std::vector<std::string>).
  template <class Token = boost::asio::use_awaitable_t<>>
  auto gather(std::string name, std::string bytes, ProcessIndex root, CollectiveOptions options,
              Token&& token = Token());

  /// Gives every participant the greatest or the least of what they propose.
  /// void(std::exception_ptr, std::int64_t).
  template <class Token = boost::asio::use_awaitable_t<>>
  auto agree(std::string name, std::int64_t proposal, Agreement agreement,
             CollectiveOptions options, Token&& token = Token());

  /// This process has failed: operations named `scope`, or below it ("save.12" is above
  /// "save.12.3.commit", not above "save.120"), fail in every process, those under way and those to
  /// come, with `error`'s code and a reason that names this process and has `error`'s text. Throws
  /// invalid_argument for a name that cannot be.
  virtual void fail(std::string_view scope, const Error& error) = 0;

  /// Tells every process something that none of them waits for, such as a notice of preemption:
  /// announced(name) is true here from now, elsewhere soon, and in processes that join later. It
  /// stays so; the newest kAnnouncementsMax are remembered. What to make of it is a matter for
  /// agree(). Throws as fail() does.
  virtual void announce(std::string_view name) = 0;
  [[nodiscard]] virtual bool announced(std::string_view name) const = 0;

 private:
  template <class T>
  friend class impl::InitiateCollective;
  template <class T, class Token>
  auto initiate(impl::Collective operation, CollectiveOptions options, Token&& token);

  /// Starts `operation`, unchecked as the caller gave it, and ends `call` in its time. Does not
  /// block or throw (bad_alloc aside).
  virtual void start(impl::Collective operation, std::shared_ptr<impl::CollectiveCall> call) = 0;

  std::mutex numbers_mutex_;
  std::map<std::string, std::uint64_t> numbers_;
};

/// For a job of one process: every operation completes at once.
[[nodiscard]] CAIRN_EXPORT std::shared_ptr<Coordinator> single_process();

template <class T, class Token>
auto Coordinator::initiate(impl::Collective operation, CollectiveOptions options, Token&& token) {
  operation.timeout = options.timeout;
  operation.processes = std::move(options.processes);
  return boost::asio::async_initiate<Token, typename impl::CollectiveSignature<T>::type>(
      impl::InitiateCollective<T>(*this), token, std::move(operation));
}

template <class Token>
auto Coordinator::barrier(std::string name, CollectiveOptions options, Token&& token) {
  impl::Collective operation(impl::CollectiveKind::barrier, std::move(name));
  return initiate<void>(std::move(operation), std::move(options), std::forward<Token>(token));
}

template <class Token>
auto Coordinator::broadcast(std::string name, std::string bytes, ProcessIndex root,
                            CollectiveOptions options, Token&& token) {
  impl::Collective operation(impl::CollectiveKind::broadcast, std::move(name));
  operation.contribution = std::move(bytes);
  operation.root = root;
  return initiate<std::string>(std::move(operation), std::move(options),
                               std::forward<Token>(token));
}

template <class Token>
auto Coordinator::gather(std::string name, std::string bytes, ProcessIndex root,
                         CollectiveOptions options, Token&& token) {
  impl::Collective operation(impl::CollectiveKind::gather, std::move(name));
  operation.contribution = std::move(bytes);
  operation.root = root;
  return initiate<std::vector<std::string>>(std::move(operation), std::move(options),
                                            std::forward<Token>(token));
}

template <class Token>
auto Coordinator::agree(std::string name, std::int64_t proposal, Agreement agreement,
                        CollectiveOptions options, Token&& token) {
  impl::Collective operation(impl::CollectiveKind::agree, std::move(name));
  operation.proposal = proposal;
  operation.agreement = agreement;
  return initiate<std::int64_t>(std::move(operation), std::move(options),
                                std::forward<Token>(token));
}

}  // namespace cairn
