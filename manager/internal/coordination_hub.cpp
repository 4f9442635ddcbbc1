#include <cairn/manager/internal/coordination_hub.h>

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace cairn::internal {
namespace {

using impl::CollectiveKind;

constexpr std::size_t kProcessesNamedMax = 8;  // a line stays readable

/// What a process called, to tell it from what another did.
std::string describe(const CollectiveForm& form, ProcessIndex count) {
  const std::string who =
      form.processes.empty() ? "all processes" : processes_text(form.processes, count);
  switch (form.kind) {
    case CollectiveKind::barrier:
      return "a barrier of " + who;
    case CollectiveKind::broadcast:
      return fmt::format("a broadcast from process {} to {}", form.root, who);
    case CollectiveKind::gather:
      return fmt::format("a gather to process {} from {}", form.root, who);
    case CollectiveKind::agree:
      return fmt::format("an agreement on the {} among {}",
                         form.agreement == Agreement::maximum ? "maximum" : "minimum", who);
  }
  return "nothing";
}

void check_name(const std::string& name) {
  if (name.empty()) throw BadMessage("a name is empty");
}

}  // namespace

std::string process_text(ProcessIndex index, ProcessIndex count) {
  return fmt::format("process {} of {}", index, count);
}

std::string processes_text(const std::vector<ProcessIndex>& indices, ProcessIndex count) {
  if (indices.size() == 1) return process_text(indices.front(), count);
  const std::size_t named = std::min(indices.size(), kProcessesNamedMax);
  const bool all_named = named == indices.size();
  std::string text = "processes ";
  for (std::size_t i = 0; i < named; ++i) {
    if (i > 0) text += all_named && i + 1 == named ? " and " : ", ";
    text += std::to_string(indices[i]);
  }
  if (!all_named) text += fmt::format(" and {} more", indices.size() - named);
  return text + fmt::format(" of {}", count);
}

bool covers(std::string_view scope, std::string_view name) noexcept {
  if (!name.starts_with(scope)) return false;
  return name.size() == scope.size() || name[scope.size()] == '.';
}

CoordinationHub::CoordinationHub(ProcessIndex count, Send send)
    : count_(count), send_(std::move(send)) {}

void CoordinationHub::joined(ProcessIndex process) {
  joined_.insert(process);
  for (const std::string& name : announced_.names()) send_(process, Announced{name});
}

void CoordinationHub::receive(ProcessIndex from, ToHub message) {
  std::visit([this, from](auto& m) { handle(from, std::move(m)); }, message);
}

void CoordinationHub::left(ProcessIndex process, ErrorCode code, std::string text) {
  const auto [entry, is_new] =
      left_.emplace(process, Verdict{code, this->process(process) + " " + std::move(text)});
  if (!is_new) return;
  for (auto it = meetings_.begin(); it != meetings_.end();) {
    it = takes_part(it->second.form, process) ? conclude(it, entry->second) : std::next(it);
  }
}

void CoordinationHub::check(ProcessIndex from, const Arrive& message) const {
  check_name(message.name);
  const CollectiveForm& form = message.form;
  const auto& list = form.processes;
  const bool ordered = std::ranges::adjacent_find(list, std::greater_equal<>()) == list.end();
  if (!ordered || (!list.empty() && list.back() >= count_)) {
    throw BadMessage(fmt::format("'{}' has impossible participants", message.name));
  }
  if (!takes_part(form, from)) {
    throw BadMessage(fmt::format("'{}' is not for this process", message.name));
  }
  const bool has_root =
      form.kind == CollectiveKind::broadcast || form.kind == CollectiveKind::gather;
  if (has_root && !takes_part(form, form.root)) {
    throw BadMessage(fmt::format("'{}' is not for its root", message.name));
  }
}

void CoordinationHub::handle(ProcessIndex from, Arrive message) {
  check(from, message);
  if (const auto verdict = hopeless(message)) return tell(from, message.sequence, *verdict);
  const auto [it, is_first] = meetings_.try_emplace(message.name);
  Meeting& meeting = it->second;
  if (is_first) meeting.form = message.form;
  if (meeting.arrivals.contains(from)) {
    throw BadMessage(fmt::format("'{}' was under way there already", message.name));
  }
  if (!(meeting.form == message.form)) {
    const Verdict verdict{
        ErrorCode::invalid_argument,
        fmt::format("{} calls it as {}, {} as {}", process(from), describe(message.form, count_),
                    process(meeting.arrivals.begin()->first), describe(meeting.form, count_))};
    tell(from, message.sequence, verdict);
    conclude(it, verdict);
    return;
  }
  if (message.contribution) meeting.bytes += message.contribution->size();
  meeting.arrivals.emplace(
      from, Arrival{message.sequence, message.proposal, std::move(message.contribution)});
  if (meeting.bytes > Coordinator::kGatheredBytesMax) {
    conclude(it, Verdict{ErrorCode::resource_exhausted,
                         fmt::format("the processes contribute more than {} bytes",
                                     Coordinator::kGatheredBytesMax)});
  } else if (meeting.arrivals.size() == size_of(meeting.form)) {
    complete(it);
  }
}

void CoordinationHub::handle(ProcessIndex from, Withdraw message) {
  check_name(message.name);
  Verdict verdict{message.code, process(from) + " " + message.text};
  const auto it = meetings_.find(message.name);
  if (it == meetings_.end()) {
    // Completed before it came to this; or nobody is here yet, and those who come should know.
    if (message.sequence == 0) spent_.insert(std::move(message.name), std::move(verdict));
    return;
  }
  if (message.sequence != 0) {
    const auto arrival = it->second.arrivals.find(from);
    const bool of_this =
        arrival != it->second.arrivals.end() && arrival->second.sequence == message.sequence;
    if (!of_this) return;
  }
  if (message.code == ErrorCode::timed_out) {
    verdict.text += " waiting for " + missing_from(it->second);
  }
  conclude(it, verdict);
}

void CoordinationHub::handle(ProcessIndex from, Fail message) {
  check_name(message.scope);
  const Verdict verdict{message.code, fmt::format("{} failed: {}", process(from), message.text)};
  for (auto it = meetings_.begin(); it != meetings_.end();) {
    it = covers(message.scope, it->first) ? conclude(it, verdict) : std::next(it);
  }
  spent_.insert(std::move(message.scope), verdict);
}

void CoordinationHub::handle(ProcessIndex /*from*/, Announce message) {
  check_name(message.name);
  if (!announced_.insert(message.name, {})) return;
  for (const ProcessIndex process : joined_) send_(process, Announced{message.name});
}

void CoordinationHub::handle(ProcessIndex from, Leave /*message*/) {
  left(from, ErrorCode::closed, "has ended its coordinator");
}

std::optional<CoordinationHub::Verdict> CoordinationHub::hopeless(const Arrive& message) const {
  if (auto verdict = verdict_on(message.name)) return verdict;
  for (const auto& [process, verdict] : left_) {
    if (takes_part(message.form, process)) return verdict;
  }
  return std::nullopt;
}

std::optional<CoordinationHub::Verdict> CoordinationHub::verdict_on(std::string_view name) const {
  // The name itself, then what is above it.
  for (std::string_view scope = name; !scope.empty();) {
    if (const Verdict* const found = spent_.find(scope)) return *found;
    const std::size_t dot = scope.rfind('.');
    scope = scope.substr(0, dot == std::string_view::npos ? 0 : dot);
  }
  return std::nullopt;
}

void CoordinationHub::tell(ProcessIndex to, std::uint64_t sequence, const Verdict& verdict) {
  if (!left_.contains(to)) send_(to, Failed{sequence, verdict.code, bounded_text(verdict.text)});
}

CoordinationHub::Meetings::iterator CoordinationHub::conclude(Meetings::iterator meeting,
                                                              const Verdict& verdict) {
  for (const auto& [process, arrival] : meeting->second.arrivals) {
    tell(process, arrival.sequence, verdict);
  }
  spent_.insert(meeting->first, verdict);
  return meetings_.erase(meeting);
}

void CoordinationHub::complete(Meetings::iterator meeting) {
  const CollectiveForm form = std::move(meeting->second.form);
  auto arrivals = std::move(meeting->second.arrivals);
  meetings_.erase(meeting);

  Done to_root;  // to its root; the same to all where there is none
  Done to_others;
  switch (form.kind) {
    case CollectiveKind::barrier:
      break;
    case CollectiveKind::broadcast:
      to_others.parts.push_back(std::move(arrivals.at(form.root).contribution));  // it has its own
      break;
    case CollectiveKind::gather:
      for (auto& [process, arrival] : arrivals) {
        to_root.parts.push_back(std::move(arrival.contribution));
      }
      break;
    case CollectiveKind::agree: {
      std::int64_t agreed = arrivals.begin()->second.proposal;
      for (const auto& [process, arrival] : arrivals) {
        agreed = form.agreement == Agreement::maximum ? std::max(agreed, arrival.proposal)
                                                      : std::min(agreed, arrival.proposal);
      }
      to_root.agreed = to_others.agreed = agreed;
      break;
    }
  }
  // This process, the hub's, is 0 and comes last: should it die of what it does next, the others
  // know.
  for (auto it = arrivals.rbegin(); it != arrivals.rend(); ++it) {
    Done done = it->first == form.root ? std::move(to_root) : to_others;
    done.sequence = it->second.sequence;
    send_(it->first, std::move(done));
  }
}

bool CoordinationHub::takes_part(const CollectiveForm& form, ProcessIndex process) const {
  if (form.processes.empty()) return process < count_;
  return std::ranges::binary_search(form.processes, process);
}

std::size_t CoordinationHub::size_of(const CollectiveForm& form) const {
  return form.processes.empty() ? count_ : form.processes.size();
}

std::string CoordinationHub::process(ProcessIndex index) const {
  return process_text(index, count_);
}

std::string CoordinationHub::missing_from(const Meeting& meeting) const {
  std::vector<ProcessIndex> missing;
  std::vector<ProcessIndex> never_seen;
  auto consider = [&](ProcessIndex process) {
    if (meeting.arrivals.contains(process)) return;
    missing.push_back(process);
    if (!joined_.contains(process)) never_seen.push_back(process);
  };
  if (meeting.form.processes.empty()) {
    for (ProcessIndex process = 0; process < count_; ++process) consider(process);
  } else {
    for (const ProcessIndex process : meeting.form.processes) consider(process);
  }
  std::string text = processes_text(missing, count_);
  if (!never_seen.empty()) {
    text += fmt::format(" ({} never connected)",
                        missing.size() == 1 ? "it" : processes_text(never_seen, count_));
  }
  return text;
}

}  // namespace cairn::internal
