#pragma once
// What stands behind a local coordinator: one thread with this process's member, its connection to
// process 0, and there the hub. All state is that thread's; what comes from other threads is
// posted.

#include <cairn/engine/clock.h>
#include <cairn/manager/internal/coordination_member.h>
#include <cairn/manager/internal/fork_origin.h>
#include <cairn/manager/internal/local_hub.h>
#include <cairn/manager/internal/local_uplink.h>
#include <cairn/manager/internal/recent_names.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace cairn::internal {

/// Where the other processes are.
struct LocalPlace {
  std::unique_ptr<Listener> listener;  ///< process 0, where the others find it by a path
  std::string path;                    ///< theirs; empty: `sockets`
  std::vector<Descriptor> sockets;     ///< connected: process 0 has one for each other process
};

/// Public members are thread-safe, except where they say otherwise.
class LocalCore : public std::enable_shared_from_this<LocalCore> {
 public:
  /// `linger`: how long close() may wait for processes that do not read, in real time.
  LocalCore(ProcessIndex index, ProcessIndex count, std::shared_ptr<engine::Clock> clock,
            std::chrono::milliseconds linger);

  /// Starts the thread, which keeps the core. Throws std::system_error where there is none to be
  /// had.
  void open(LocalPlace place);
  /// Ends what is under way and the thread; once. Waits for it, but not on an engine's strand or on
  /// the thread itself.
  void close();
  /// In a forked child: never ends, and does not count as leaked.
  void give_up();

  void start(impl::Collective operation, std::shared_ptr<impl::CollectiveCall> call);
  void tell(ToHub message);
  void announce(std::string name);
  [[nodiscard]] bool announced(std::string_view name) const;

  const ProcessIndex index;
  const ProcessIndex count;
  const ForkOrigin origin;

 private:
  void run(LocalPlace place);
  void begin(LocalPlace place);
  void finish();
  void make_hub();
  void make_uplink();
  void send(ToHub message);
  void received(FromHub message);
  void remember(std::string name);
  /// Has `fn` called on the thread when the clock says so; it may use `this`.
  engine::Clock::TimerId post_at(engine::Clock::Duration when, std::function<void()> fn);
  /// Has `fn` called a little later. One at a time.
  void retry(std::function<void()> fn);

  const std::shared_ptr<engine::Clock> clock_;
  const std::chrono::milliseconds linger_;
  boost::asio::io_context context_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::optional<CoordinationMember> member_;
  std::optional<LocalHub> hub_;
  std::optional<LocalUplink> uplink_;
  engine::Clock::TimerId retry_timer_ = 0;
  std::atomic<std::uint64_t> last_id_{0};
  mutable std::mutex announced_mutex_;
  RecentNames<std::monostate> announced_{Coordinator::kAnnouncementsMax};
  std::thread thread_;
  std::shared_ptr<LocalCore> given_up_;
  LocalCore* next_given_up_ = nullptr;
};

}  // namespace cairn::internal
