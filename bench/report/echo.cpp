#include "report/echo.h"

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <utility>

namespace cairn::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMessageBytes = 64;

/// Until the client closes, which ends it with an exception that nobody needs.
asio::awaitable<void> answer(tcp::socket socket) {
  std::array<char, kMessageBytes> message{};
  const auto buffer = asio::buffer(message);
  while (true) {
    const std::size_t got = co_await socket.async_read_some(buffer, asio::use_awaitable);
    const auto part = asio::buffer(buffer, got);
    co_await asio::async_write(socket, part, asio::use_awaitable);
  }
}

asio::awaitable<void> accept_all(tcp::acceptor acceptor) {
  while (true) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(acceptor.get_executor(), answer(std::move(socket)), asio::detached);
  }
}

}  // namespace

EchoServer::EchoServer() {
  tcp::acceptor acceptor(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  port_ = acceptor.local_endpoint().port();
  asio::co_spawn(context_, accept_all(std::move(acceptor)), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

EchoServer::~EchoServer() {
  context_.stop();
  thread_.join();
}

EchoClient::EchoClient(std::uint16_t port) : socket_(context_) {
  socket_.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port));
  socket_.set_option(tcp::no_delay(true));
}

void EchoClient::round_trip() {
  std::array<char, kMessageBytes> message{};
  message.fill('e');
  asio::write(socket_, asio::buffer(message));
  asio::read(socket_, asio::buffer(message));
}

std::vector<double> EchoClient::run(std::size_t messages, std::chrono::nanoseconds interval,
                                    const Beside& beside) {
  std::latch enough(1);
  std::atomic<bool> stop = false;
  std::exception_ptr socket_error;
  std::vector<double> times;
  times.reserve(messages * 16);
  {
    const std::jthread client([&] {
      bool told = false;
      try {
        auto due = Clock::now();
        while (!stop) {
          const bool late = Clock::now() > due;
          if (!late) std::this_thread::sleep_until(due);
          const auto from = late ? due : Clock::now();
          round_trip();
          times.push_back(std::chrono::duration<double>(Clock::now() - from).count());
          due += interval;
          if (!told && times.size() >= messages) {
            enough.count_down();
            told = true;
          }
        }
      } catch (...) {
        socket_error = std::current_exception();
      }
      if (!told) enough.count_down();  // whoever waits for it learns of the error afterwards
    });
    const StopAtEnd stop_at_end(stop);
    beside(enough);
  }
  if (socket_error) std::rethrow_exception(socket_error);
  return times;
}

}  // namespace cairn::bench
