#pragma once
// The hub with its connections, in process 0. Everything happens on the thread that runs the
// context.

#include <cairn/manager/internal/coordination_hub.h>
#include <cairn/manager/internal/local_link.h>
#include <cairn/manager/internal/local_socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

namespace cairn::internal {

/// Connections that have not said who they are; the oldest has to go for one more.
inline constexpr std::size_t kStrangersMax = 64;

class LocalHub {
 public:
  struct Hooks {
    std::function<void(FromHub)> to_own_member;
    /// Has accept() called a little later.
    std::function<void()> accept_later;
  };
  LocalHub(boost::asio::io_context& context, ProcessIndex count, Hooks hooks);

  /// Takes whoever connects.
  void listen(std::unique_ptr<Listener> listener);
  void accept();
  /// Takes a connected, guarded socket, whose other end will say who it is.
  void adopt(Descriptor socket);
  /// From the member in this process.
  void receive_own(ToHub message) { hub_.receive(0, std::move(message)); }

  /// Tells all that process 0 goes; closes each connection when it has been told. No hook is called
  /// any more but to_own_member, inside this call.
  void finish();
  /// Closes all now.
  void abort();

 private:
  void wait_for_next();
  void greet(const LinkPtr& link, std::string_view body);
  void deliver(ProcessIndex to, FromHub message);
  void forget(const LocalLink* stranger);

  boost::asio::io_context& context_;
  const ProcessIndex count_;
  const Hooks hooks_;
  CoordinationHub hub_;
  std::map<ProcessIndex, LinkPtr> links_;  ///< those that have joined, also after their end
  std::deque<LinkPtr> strangers_;          ///< oldest first
  std::unique_ptr<Listener> listener_;
  std::optional<boost::asio::posix::stream_descriptor> readiness_;  ///< of listener_, not owned
  bool finished_ = false;
};

}  // namespace cairn::internal
