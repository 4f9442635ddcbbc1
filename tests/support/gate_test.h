#pragma once
// Requests to what hands things out in order (BufferArena, AsyncSemaphore), looked at later.

#include <cairn/engine/error.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <utility>

namespace cairn::test {

template <class Gate, class Grant>
class GateTest : public ::testing::Test {
 protected:
  struct Request {
    engine::error_code error;
    Grant grant;
    bool done = false;
    boost::asio::cancellation_signal signal;
  };

  /// `more`: what async_acquire() takes besides the amount.
  template <class... More>
  std::unique_ptr<Request> ask(Gate& gate, std::size_t amount, More... more) {
    auto request = std::make_unique<Request>();
    auto take = [r = request.get()](engine::error_code error, Grant grant) {
      r->error = error;
      r->grant = std::move(grant);
      r->done = true;
    };
    gate.async_acquire(
        amount, more...,
        boost::asio::bind_cancellation_slot(request->signal.slot(),
                                            boost::asio::bind_executor(context_, std::move(take))));
    return request;
  }
  void settle() {
    context_.restart();
    context_.poll();
  }
  boost::asio::io_context context_;
};

}  // namespace cairn::test
