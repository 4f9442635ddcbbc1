#pragma once
// A process's connection to process 0: made when that one can be reached, once. Everything happens
// on the thread that runs the context.

#include <cairn/manager/internal/local_link.h>
#include <cairn/manager/internal/local_socket.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <string>

namespace cairn::internal {

/// Messages kept until there is a connection. Each operation makes two at most.
inline constexpr std::size_t kWaitingMax = 4 * Coordinator::kOperationsMax;

class LocalUplink {
 public:
  struct Hooks {
    std::function<void(FromHub)> on_message;
    /// The connection has ended and does not come again. `why` names process 0.
    std::function<void(std::string why)> on_end;
    /// Why there is no connection yet; empty: there is one.
    std::function<void(std::string why)> on_state;
    /// Has connect() called a little later.
    std::function<void()> connect_later;
  };
  LocalUplink(boost::asio::io_context& context, Hello hello, Hooks hooks);

  /// Uses a connected, guarded socket.
  void adopt(Descriptor socket);
  void connect_to_path(std::string path);
  /// Tries again.
  void connect();
  /// Kept until there is a connection.
  void send(const ToHub& message);
  /// Closes when everything is sent; at once where there is no connection. No hook is called any
  /// more.
  void finish();
  void abort();

 private:
  boost::asio::io_context& context_;
  const Hello hello_;
  const Hooks hooks_;
  std::string path_;
  LinkPtr link_;
  std::deque<Frame> waiting_;  ///< at most kWaitingMax
  bool finished_ = false;
};

}  // namespace cairn::internal
