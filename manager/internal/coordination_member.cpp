#include <cairn/manager/internal/coordination_hub.h>
#include <cairn/manager/internal/coordination_member.h>

#include <fmt/format.h>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace cairn::internal {
namespace {

using engine::Clock;
using impl::CollectiveKind;
using impl::CollectiveResult;

const char* kind_text(CollectiveKind kind) noexcept {
  switch (kind) {
    case CollectiveKind::barrier:
      return "barrier";
    case CollectiveKind::broadcast:
      return "broadcast";
    case CollectiveKind::gather:
      return "gather";
    case CollectiveKind::agree:
      return "agreement";
  }
  return "operation";
}

/// Made in functions, so that no copy is left here when the caller hands it to another thread:
/// exceptions share their texts by counts that no sanitizer sees.
std::exception_ptr failure(CollectiveKind kind, const std::string& name, ErrorCode code,
                           std::string reason) {
  ErrorContext context;
  context.operation = fmt::format("{} '{}'", kind_text(kind), name);
  if (code == ErrorCode::timed_out) {
    context.remedy = "See what the missing process does, or allow more time";
  }
  return std::make_exception_ptr(Error(code, std::move(reason), std::move(context)));
}

std::exception_ptr cancellation() {
  return std::make_exception_ptr(
      boost::system::system_error(boost::asio::error::operation_aborted));
}

std::string seconds_text(Clock::Duration span) {
  return fmt::format("{:g} s", std::chrono::duration<double>(span).count());
}

std::string take_bytes(Payload payload) {
  if (!payload) return {};
  return payload.use_count() == 1 ? std::move(*payload) : *payload;
}

bool has_root(CollectiveKind kind) noexcept {
  return kind == CollectiveKind::broadcast || kind == CollectiveKind::gather;
}

}  // namespace

std::optional<std::string> name_fault(std::string_view name) {
  if (name.empty()) return "the name is empty";
  if (name.size() > Coordinator::kNameBytesMax) {
    return fmt::format("the name has {} bytes, more than {}", name.size(),
                       Coordinator::kNameBytesMax);
  }
  return std::nullopt;
}

void check_coordination_name(std::string_view name, const char* operation) {
  const auto fault = name_fault(name);
  if (!fault) return;
  ErrorContext context;
  context.operation = operation;
  throw Error(ErrorCode::invalid_argument, *fault, std::move(context));
}

CoordinationMember::CoordinationMember(ProcessIndex index, ProcessIndex count,
                                       std::shared_ptr<Clock> clock, Hooks hooks)
    : index_(index), count_(count), clock_(std::move(clock)), hooks_(std::move(hooks)) {}

std::exception_ptr CoordinationMember::refusal(const impl::Collective& operation) const {
  auto invalid = [&operation](std::string reason) {
    return failure(operation.kind, operation.name, ErrorCode::invalid_argument, std::move(reason));
  };
  if (ended_) return failure(operation.kind, operation.name, ended_->code, ended_->text);
  if (auto fault = name_fault(operation.name)) return invalid(std::move(*fault));
  if (operation.timeout.count() <= 0) return invalid("the timeout is not above 0");
  const auto& list = operation.processes;
  const auto outside = std::ranges::find_if(list, [this](auto p) { return p >= count_; });
  if (outside != list.end()) {
    return invalid(fmt::format("there is no process {} of {}", *outside, count_));
  }
  auto takes_part = [this, &list](ProcessIndex process) {
    return list.empty() ? process < count_ : std::ranges::find(list, process) != list.end();
  };
  if (!takes_part(index_)) {
    return invalid(fmt::format("{} is not among the participants", process_text(index_, count_)));
  }
  if (has_root(operation.kind) && !takes_part(operation.root)) {
    return invalid(fmt::format("root {} is not among the participants", operation.root));
  }
  if (names_.contains(operation.name)) {
    return invalid("this process has an operation of that name under way");
  }
  if (pending_.size() == Coordinator::kOperationsMax) {
    return failure(operation.kind, operation.name, ErrorCode::resource_exhausted,
                   fmt::format("{} operations are under way", pending_.size()));
  }
  return nullptr;
}

CollectiveForm CoordinationMember::form_of(impl::Collective& operation) const {
  CollectiveForm form;
  form.kind = operation.kind;
  if (has_root(form.kind)) form.root = operation.root;
  if (form.kind == CollectiveKind::agree) form.agreement = operation.agreement;
  form.processes = std::move(operation.processes);
  std::ranges::sort(form.processes);
  form.processes.erase(std::unique(form.processes.begin(), form.processes.end()),
                       form.processes.end());
  if (form.processes.size() == count_) form.processes.clear();
  return form;
}

void CoordinationMember::start(std::uint64_t id, impl::Collective operation,
                               std::shared_ptr<impl::CollectiveCall> call) {
  if (auto error = refusal(operation)) {
    return call->complete(std::move(error), CollectiveResult());
  }
  const bool contributes =
      operation.kind == CollectiveKind::gather ||
      (operation.kind == CollectiveKind::broadcast && operation.root == index_);
  if (contributes && operation.contribution.size() > Coordinator::kContributionBytesMax) {
    const std::string text =
        fmt::format("would contribute {} bytes, more than {}", operation.contribution.size(),
                    Coordinator::kContributionBytesMax);
    // The others need not wait for what cannot come.
    hooks_.send(Withdraw{0, operation.name, ErrorCode::resource_exhausted, text});
    auto error = failure(operation.kind, operation.name, ErrorCode::resource_exhausted,
                         process_text(index_, count_) + " " + text);
    return call->complete(std::move(error), CollectiveResult());
  }

  Pending pending;
  pending.name = std::move(operation.name);
  pending.form = form_of(operation);
  pending.call = std::move(call);
  pending.timeout = operation.timeout;
  Arrive arrive{id, pending.name, pending.form, operation.proposal, nullptr};
  if (contributes) {
    arrive.contribution = std::make_shared<std::string>(std::move(operation.contribution));
    if (pending.form.kind == CollectiveKind::broadcast) pending.contribution = arrive.contribution;
  }
  names_.insert(pending.name);
  pending_.emplace(id, std::move(pending));
  const Clock::Duration timeout = operation.timeout;
  hooks_.send(std::move(arrive));
  if (timeout != CollectiveOptions::kNoTimeout && pending_.contains(id)) arm(id, timeout);
}

void CoordinationMember::cancel(std::uint64_t id) {
  const auto entry = pending_.find(id);
  if (entry == pending_.end()) return;
  // Whatever the hub will say: the caller wants to go.
  const Pending pending = take(entry);
  hooks_.send(Withdraw{id, pending.name, ErrorCode::cancelled, "cancelled it"});
  pending.call->complete(cancellation(), CollectiveResult());
}

void CoordinationMember::expire(std::uint64_t id) {
  const auto entry = pending_.find(id);
  if (entry == pending_.end()) return;
  Pending& pending = entry->second;
  pending.timer = 0;
  const std::string waited = "timed out after " + seconds_text(pending.timeout);
  if (!pending.asked) {
    pending.asked = true;
    hooks_.send(Withdraw{id, pending.name, ErrorCode::timed_out, waited});
    if (!pending_.contains(id)) return;
    if (unreachable_.empty()) return arm(id, kAnswerGrace);
  }
  const std::string reason =
      unreachable_.empty()
          ? fmt::format("{} {}, and {}, which knows who has come, does not answer",
                        process_text(index_, count_), waited, process_text(0, count_))
          : fmt::format("{} {}, without {}: {}", process_text(index_, count_), waited,
                        process_text(0, count_), unreachable_);
  fail(entry, ErrorCode::timed_out, reason);
}

void CoordinationMember::receive(FromHub message) {
  if (auto* const done_message = std::get_if<Done>(&message)) {
    const auto entry = pending_.find(done_message->sequence);
    if (entry != pending_.end()) done(entry, std::move(*done_message));
  } else if (auto* const failed = std::get_if<Failed>(&message)) {
    const auto entry = pending_.find(failed->sequence);
    if (entry != pending_.end()) fail(entry, failed->code, std::move(failed->text));
  }
}

void CoordinationMember::end(ErrorCode code, const std::string& reason) {
  if (ended_) return;
  ended_ = Reason{code, reason};
  while (!pending_.empty()) fail(pending_.begin(), code, reason);
}

void CoordinationMember::arm(std::uint64_t id, Clock::Duration span) {
  const Clock::Duration now = clock_->steady();
  const Clock::Duration when =
      span > Clock::Duration::max() - now ? Clock::Duration::max() : now + span;
  pending_.at(id).timer = clock_->call_at(when, [hook = hooks_.on_timer, id] { hook(id); });
}

void CoordinationMember::done(Entry entry, Done message) {
  Pending pending = take(entry);
  CollectiveResult result;
  result.agreed = message.agreed;
  for (Payload& part : message.parts) result.parts.push_back(take_bytes(std::move(part)));
  if (pending.contribution) result.parts.push_back(take_bytes(std::move(pending.contribution)));
  pending.call->complete(nullptr, std::move(result));
}

void CoordinationMember::fail(Entry entry, ErrorCode code, std::string reason) {
  const Pending pending = take(entry);
  auto error = failure(pending.form.kind, pending.name, code, std::move(reason));
  pending.call->complete(std::move(error), CollectiveResult());
}

CoordinationMember::Pending CoordinationMember::take(Entry entry) {
  Pending pending = std::move(entry->second);
  pending_.erase(entry);
  names_.erase(pending.name);
  if (pending.timer != 0) clock_->cancel(pending.timer);
  return pending;
}

}  // namespace cairn::internal
