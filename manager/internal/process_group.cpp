#include <cairn/manager/internal/process_group.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace cairn::internal {

ProcessGroup::ProcessGroup(Settings settings)
    : settings_(std::move(settings)),
      self_(settings_.coordinator->process_index()),
      leader_(settings_.primary.value_or(settings_.processes.front())) {}

std::string ProcessGroup::full_name(const std::string& name) const {
  return settings_.prefix.empty() ? name : settings_.prefix + "." + name;
}

CollectiveOptions ProcessGroup::within(engine::Clock::Duration limit) const {
  return CollectiveOptions(limit, settings_.processes);
}

Task<void> ProcessGroup::barrier(std::string name) {
  co_await barrier_within(std::move(name), settings_.timeout);
}

Task<void> ProcessGroup::barrier_within(std::string name, engine::Clock::Duration limit) {
  CollectiveOptions options = within(limit);
  co_await settings_.coordinator->barrier(full_name(name), std::move(options));
}

Task<std::string> ProcessGroup::broadcast(std::string name, std::string bytes) {
  CollectiveOptions options = within(settings_.timeout);
  std::string result = co_await settings_.coordinator->broadcast(full_name(name), std::move(bytes),
                                                                 leader_, std::move(options));
  co_return result;
}

Task<std::string> ProcessGroup::await_broadcast(std::string name) {
  CollectiveOptions options = within(CollectiveOptions::kNoTimeout);
  std::string result = co_await settings_.coordinator->broadcast(full_name(name), std::string(),
                                                                 leader_, std::move(options));
  co_return result;
}

Task<std::vector<std::string>> ProcessGroup::gather(std::string name, std::string bytes) {
  CollectiveOptions options = within(settings_.timeout);
  std::vector<std::string> parts = co_await settings_.coordinator->gather(
      full_name(name), std::move(bytes), leader_, std::move(options));
  co_return parts;
}

Task<std::int64_t> ProcessGroup::agree_on_least(std::string name, std::int64_t proposal) {
  CollectiveOptions options = within(settings_.timeout);
  co_return co_await settings_.coordinator->agree(full_name(name), proposal, Agreement::minimum,
                                                  std::move(options));
}

void ProcessGroup::fail(const std::string& scope, const std::exception_ptr& reason) noexcept {
  try {
    settings_.coordinator->fail(full_name(scope), known_error(reason));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): what failed matters more than
                                     // that the others cannot be told; they run into their timeout
  }
}

void ProcessGroup::put_failure(WireWriter& to, const std::exception_ptr& failure) {
  to.number(static_cast<std::uint64_t>(code_of(failure)));
  to.bytes(message_of(failure));
}

Error ProcessGroup::get_failure(WireReader& from, std::string path) const {
  const auto code =
      static_cast<ErrorCode>(from.at_most(static_cast<std::uint64_t>(ErrorCode::internal)));
  ErrorContext context;
  context.path = std::move(path);
  std::string reason = fmt::format("process {} of {} failed: {}", leader_,
                                   settings_.coordinator->process_count(), from.bytes());
  return Error(code, std::move(reason), context);
}

namespace {

Task<void> tell_failure(GroupScopePtr scope, Task<void> part) {
  std::exception_ptr failure;
  try {
    co_await std::move(part);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  const std::exception_ptr reason = as_error(failure, "", "");
  if (code_of(reason) != ErrorCode::cancelled) scope->fail(reason);
  std::rethrow_exception(failure);
}

}  // namespace

Task<void> telling(GroupScopePtr scope, Task<void> part) {
  if (!scope) return part;
  return tell_failure(std::move(scope), std::move(part));
}

}  // namespace cairn::internal
