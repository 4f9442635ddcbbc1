#include <cairn/manager/coordination.h>
#include <cairn/manager/internal/coordination_hub.h>
#include <cairn/manager/internal/coordination_member.h>
#include <cairn/manager/internal/fork_origin.h>
#include <cairn/manager/internal/recent_names.h>

#include <mutex>
#include <utility>

namespace cairn {
namespace impl {

void CollectiveCall::on_cancel(std::function<void()> hook) {
  {
    const std::lock_guard lock(mutex_);
    if (!cancelled_) {
      hook_ = std::move(hook);
      return;
    }
  }
  hook();
}

void CollectiveCall::cancel() {
  std::function<void()> hook;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    hook.swap(hook_);
  }
  if (hook) hook();
}

}  // namespace impl

namespace {

using namespace internal;

/// A hub and its only member, talking without a link: names, limits and failures are those of many
/// processes.
class SingleProcess final : public Coordinator {
 public:
  SingleProcess()
      : hub_(1, [this](ProcessIndex, FromHub message) { from_hub(std::move(message)); }),
        // What is valid completes inside start(), so no timer is ever armed.
        member_(0, 1, engine::system_clock(),
                CoordinationMember::Hooks{
                    [this](ToHub message) { hub_.receive(0, std::move(message)); },
                    [](std::uint64_t) {}}) {
    hub_.joined(0);
  }

  [[nodiscard]] ProcessIndex process_index() const noexcept override { return 0; }
  [[nodiscard]] ProcessIndex process_count() const noexcept override { return 1; }

  void fail(std::string_view scope, const Error& error) override {
    origin_.check();
    check_coordination_name(scope, "fail an operation");
    const std::lock_guard lock(mutex_);
    hub_.receive(0, Fail{std::string(scope), error.code(), bounded_text(error.what())});
  }
  void announce(std::string_view name) override {
    origin_.check();
    check_coordination_name(name, "announce");
    const std::lock_guard lock(mutex_);
    hub_.receive(0, Announce{std::string(name)});
  }
  [[nodiscard]] bool announced(std::string_view name) const override {
    origin_.check();
    const std::lock_guard lock(mutex_);
    return announced_.find(name) != nullptr;
  }

 private:
  void start(impl::Collective operation, std::shared_ptr<impl::CollectiveCall> call) override {
    if (origin_.forked()) return call->refuse(origin_.exception());
    const std::lock_guard lock(mutex_);
    member_.start(++last_id_, std::move(operation), std::move(call));
  }

  void from_hub(FromHub message) {
    if (const auto* news = std::get_if<Announced>(&message)) announced_.insert(news->name, {});
    member_.receive(std::move(message));
  }

  const ForkOrigin origin_;
  mutable std::mutex mutex_;
  CoordinationHub hub_;
  CoordinationMember member_;
  RecentNames<std::monostate> announced_{Coordinator::kAnnouncementsMax};
  std::uint64_t last_id_ = 0;
};

}  // namespace

std::uint64_t Coordinator::next_number(const std::string& key) {
  const std::lock_guard lock(numbers_mutex_);
  return ++numbers_[key];
}

std::shared_ptr<Coordinator> single_process() {
  return std::make_shared<SingleProcess>();
}

}  // namespace cairn
