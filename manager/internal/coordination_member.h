#pragma once
// One process's side of a Coordinator: the operations it has under way, their time and their
// cancellation. Speaks in messages to a hub that may be anywhere; does no I/O.

#include <cairn/engine/clock.h>
#include <cairn/manager/internal/coordination_message.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace cairn::internal {

/// After the timeout, how long to wait for the hub to say who is missing.
inline constexpr engine::Clock::Duration kAnswerGrace = std::chrono::seconds(1);

/// Not thread-safe.
class CoordinationMember {
 public:
  struct Hooks {
    /// To the hub, in order. An answer may come inside the call.
    std::function<void(ToHub)> send;
    /// The time of operation `id` has come: have expire(id) called. On the clock's thread.
    std::function<void(std::uint64_t id)> on_timer;
  };

  CoordinationMember(ProcessIndex index, ProcessIndex count, std::shared_ptr<engine::Clock> clock,
                     Hooks hooks);

  /// `id` is not 0 and new.
  void start(std::uint64_t id, impl::Collective operation,
             std::shared_ptr<impl::CollectiveCall> call);
  void cancel(std::uint64_t id);
  void expire(std::uint64_t id);
  /// Of Announced and what is not a message to an operation, nothing is done here.
  void receive(FromHub message);
  /// Why the hub cannot be spoken to at the moment; empty = it can.
  void set_unreachable(std::string why) { unreachable_ = std::move(why); }
  /// What is under way, and what is started later, fails with this. The first call counts.
  void end(ErrorCode code, const std::string& reason);

 private:
  struct Pending {
    std::string name;
    CollectiveForm form;
    Payload contribution;  ///< kept for the root of a broadcast, which has it already
    std::shared_ptr<impl::CollectiveCall> call;
    engine::Clock::Duration timeout{0};
    engine::Clock::TimerId timer = 0;
    bool asked = false;  ///< the hub knows that the time is up
  };
  struct Reason {
    ErrorCode code;
    std::string text;
  };
  using Entry = std::map<std::uint64_t, Pending>::iterator;

  /// Why an operation cannot be started; null: it can.
  [[nodiscard]] std::exception_ptr refusal(const impl::Collective& operation) const;
  [[nodiscard]] CollectiveForm form_of(impl::Collective& operation) const;
  void arm(std::uint64_t id, engine::Clock::Duration span);
  void done(Entry entry, Done message);
  void fail(Entry entry, ErrorCode code, std::string reason);
  /// Takes the operation out; its call is to be ended.
  [[nodiscard]] Pending take(Entry entry);

  const ProcessIndex index_;
  const ProcessIndex count_;
  const std::shared_ptr<engine::Clock> clock_;
  const Hooks hooks_;
  std::map<std::uint64_t, Pending> pending_;
  std::set<std::string, std::less<>> names_;  ///< of what is pending
  std::string unreachable_;
  std::optional<Reason> ended_;
};

/// Why `name` cannot be one.
[[nodiscard]] std::optional<std::string> name_fault(std::string_view name);
/// Throws invalid_argument for a name that cannot be; `operation` is for the message.
void check_coordination_name(std::string_view name, const char* operation);

}  // namespace cairn::internal
