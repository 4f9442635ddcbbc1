#pragma once
// Where the processes of a job meet. Messages come in and go out; no I/O, no clock, no thread: who
// waits too long says so himself (Withdraw), and only here is decided whether an operation has
// completed or failed. One hub per job, in process 0.

#include <cairn/manager/internal/coordination_message.h>
#include <cairn/manager/internal/recent_names.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace cairn::internal {

/// Not thread-safe.
class CoordinationHub {
 public:
  /// Called for each message; must not call the hub.
  using Send = std::function<void(ProcessIndex to, FromHub message)>;

  CoordinationHub(ProcessIndex count, Send send);

  /// `process` can be spoken to from now on. One that has not joined may be waited for.
  void joined(ProcessIndex process);
  [[nodiscard]] bool has_joined(ProcessIndex process) const { return joined_.contains(process); }
  /// Throws BadMessage for one that no member sends; the link is of no use then.
  void receive(ProcessIndex from, ToHub message);
  /// `process` takes part in nothing any more. `text` goes on after "process 1 of 2 ". Later calls
  /// for the same process do nothing.
  void left(ProcessIndex process, ErrorCode code, std::string text);

 private:
  struct Verdict {
    ErrorCode code;
    std::string text;
  };
  struct Arrival {
    std::uint64_t sequence;
    std::int64_t proposal;
    Payload contribution;
  };
  struct Meeting {
    CollectiveForm form;
    std::size_t bytes = 0;  ///< of all contributions
    std::map<ProcessIndex, Arrival> arrivals;
  };
  using Meetings = std::map<std::string, Meeting, std::less<>>;

  void handle(ProcessIndex from, Arrive message);
  void handle(ProcessIndex from, Withdraw message);
  void handle(ProcessIndex from, Fail message);
  void handle(ProcessIndex from, Announce message);
  void handle(ProcessIndex from, Leave message);

  void check(ProcessIndex from, const Arrive& message) const;
  /// Why nobody need come to this operation any more.
  [[nodiscard]] std::optional<Verdict> hopeless(const Arrive& message) const;
  [[nodiscard]] std::optional<Verdict> verdict_on(std::string_view name) const;
  void tell(ProcessIndex to, std::uint64_t sequence, const Verdict& verdict);
  Meetings::iterator conclude(Meetings::iterator meeting, const Verdict& verdict);
  void complete(Meetings::iterator meeting);

  [[nodiscard]] bool takes_part(const CollectiveForm& form, ProcessIndex process) const;
  [[nodiscard]] std::size_t size_of(const CollectiveForm& form) const;
  [[nodiscard]] std::string process(ProcessIndex index) const;
  [[nodiscard]] std::string missing_from(const Meeting& meeting) const;

  const ProcessIndex count_;
  const Send send_;
  Meetings meetings_;
  RecentNames<Verdict> spent_{Coordinator::kSpentNamesMax};  ///< the first reason stands
  RecentNames<std::monostate> announced_{Coordinator::kAnnouncementsMax};
  std::set<ProcessIndex> joined_;
  std::map<ProcessIndex, Verdict> left_;
};

/// "process 1 of 2"
[[nodiscard]] std::string process_text(ProcessIndex index, ProcessIndex count);
/// "process 1 of 2", "processes 1 and 3 of 4"; a few are named, the others counted.
[[nodiscard]] std::string processes_text(const std::vector<ProcessIndex>& indices,
                                         ProcessIndex count);
/// True where `scope` is `name` or a dotted part of its front.
[[nodiscard]] bool covers(std::string_view scope, std::string_view name) noexcept;

}  // namespace cairn::internal
