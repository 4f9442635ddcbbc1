#pragma once
// The processes that save and restore together, as one manager sees them.

#include <cairn/manager/coordination.h>
#include <cairn/manager/internal/storage.h>
#include <cairn/manager/internal/wire.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::internal {

class ProcessGroup {
 public:
  struct Settings {
    std::shared_ptr<Coordinator> coordinator;
    std::vector<ProcessIndex> processes;  ///< ascending, this one among them
    std::optional<ProcessIndex> primary;
    std::string prefix;  ///< of all names; empty or a dotted path
    engine::Clock::Duration timeout{0};
  };
  explicit ProcessGroup(Settings settings);

  [[nodiscard]] const std::vector<ProcessIndex>& processes() const noexcept {
    return settings_.processes;
  }
  [[nodiscard]] ProcessIndex self() const noexcept { return self_; }
  /// One directory for all, which the primary makes; otherwise each process has one of its own.
  [[nodiscard]] bool shares_root() const noexcept { return settings_.primary.has_value(); }
  /// Makes directories, commits, deletes.
  [[nodiscard]] bool is_primary() const noexcept {
    return !shares_root() || *settings_.primary == self_;
  }
  /// Who decides for all.
  [[nodiscard]] ProcessIndex leader() const noexcept { return leader_; }
  [[nodiscard]] bool leads() const noexcept { return leader_ == self_; }

  // Each throws as Coordinator says. `name` is below the prefix.
  Task<void> barrier(std::string name);
  /// At most `limit`, by the coordinator's clock.
  Task<void> barrier_within(std::string name, engine::Clock::Duration limit);
  /// The leader's bytes.
  Task<std::string> broadcast(std::string name, std::string bytes);
  /// However long the leader takes.
  Task<std::string> await_broadcast(std::string name);
  /// In the order of processes(), for the leader; nothing for the others.
  Task<std::vector<std::string>> gather(std::string name, std::string bytes);
  /// The least of what they propose.
  Task<std::int64_t> agree_on_least(std::string name, std::int64_t proposal);
  /// All that is named `scope`, or below it, fails for all.
  void fail(const std::string& scope, const std::exception_ptr& reason) noexcept;
  /// What the leader tells of its failure, and what that is for the others: it names the leader.
  static void put_failure(WireWriter& to, const std::exception_ptr& failure);
  [[nodiscard]] Error get_failure(WireReader& from, std::string path) const;

  [[nodiscard]] const std::shared_ptr<Coordinator>& coordinator() const noexcept {
    return settings_.coordinator;
  }
  [[nodiscard]] std::string full_name(const std::string& name) const;
  [[nodiscard]] engine::Clock::Duration timeout() const noexcept { return settings_.timeout; }
  [[nodiscard]] CollectiveOptions within(engine::Clock::Duration limit) const;

 private:
  const Settings settings_;
  const ProcessIndex self_;
  const ProcessIndex leader_;
};
using ProcessGroupPtr = std::shared_ptr<ProcessGroup>;

/// The operations of one save, delete or restore.
class GroupScope {
 public:
  GroupScope(ProcessGroupPtr group, std::string scope)
      : group_(std::move(group)), scope_(std::move(scope)) {}
  [[nodiscard]] ProcessGroup& group() const noexcept { return *group_; }
  [[nodiscard]] std::string name(const std::string& what) const { return scope_ + "." + what; }
  void fail(const std::exception_ptr& reason) const noexcept { group_->fail(scope_, reason); }

 private:
  ProcessGroupPtr group_;
  std::string scope_;
};
using GroupScopePtr = std::shared_ptr<const GroupScope>;

/// `part`, whose failure the other processes learn before its siblings are cancelled: their
/// cancellation would reach them first, and say nothing. `scope` may be null.
[[nodiscard]] Task<void> telling(GroupScopePtr scope, Task<void> part);

}  // namespace cairn::internal
