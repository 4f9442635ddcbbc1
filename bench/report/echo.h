#pragma once
// A server that answers small messages, and a client that times the answers: what else runs in the
// process of somebody who saves.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "report/beside.h"

namespace cairn::bench {

/// Sends back what it gets, on loopback, by a context and a thread of its own.
class EchoServer {
 public:
  /// Throws boost::system::system_error where it may not listen.
  EchoServer();
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

 private:
  boost::asio::io_context context_{1};
  std::uint16_t port_ = 0;
  std::thread thread_;
};

class EchoClient {
 public:
  /// Connects.
  explicit EchoClient(std::uint16_t port);
  /// A message every `interval` from a thread of its own, at least `messages` of them, and more
  /// until `beside`, on the calling thread, returns. Gives the seconds until each was back. One
  /// that was due before its predecessor was back counts from then: a slow answer delays what is
  /// behind it. Rethrows what `beside` throws, and errors of the socket.
  [[nodiscard]] std::vector<double> run(std::size_t messages, std::chrono::nanoseconds interval,
                                        const Beside& beside);

 private:
  /// Sends a message and waits until it is back.
  void round_trip();

  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::socket socket_;
};

}  // namespace cairn::bench
