#pragma once
// One connection between two processes: frames out, frames in. Everything happens on the thread
// that runs the context.

#include <cairn/manager/internal/coordination_message.h>
#include <cairn/manager/internal/local_socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

class LocalLink : public std::enable_shared_from_this<LocalLink> {
 public:
  struct Events {
    /// A frame without its length, valid during the call. May throw BadMessage, which ends the
    /// link.
    std::function<void(std::string_view body)> on_message;
    /// The connection has ended, not by finish() or abort(). `why` goes on after "process 1 of 2 ".
    std::function<void(std::string why)> on_end;
  };

  /// `socket` is connected and guarded.
  LocalLink(boost::asio::io_context& context, Descriptor socket);
  ~LocalLink();
  LocalLink(const LocalLink&) = delete;
  LocalLink& operator=(const LocalLink&) = delete;

  /// Starts reading; a longer frame than this ends the link.
  void start(Events events, std::size_t frame_bytes_max);
  /// Likewise for what comes from now on; also from inside on_message.
  void become(Events events, std::size_t frame_bytes_max);
  /// In order. Ignored when the link has ended.
  void send(Frame frame);
  /// Reads no more, and closes when everything is sent. No event comes any more.
  void finish();
  /// Closes now. No event comes any more.
  void abort();

 private:
  void read_length();
  void read_body();
  void write_next();
  void end(std::string why);
  void close();

  boost::asio::local::stream_protocol::socket socket_;
  std::shared_ptr<const Events> events_;  ///< kept by a call under way while it is replaced
  std::size_t frame_max_ = 0;
  std::uint32_t length_ = 0;
  std::string body_;
  std::deque<Frame> outgoing_;  ///< the front one is being written
  std::vector<boost::asio::const_buffer> buffers_;
  bool reads_ = false;      ///< events are wanted
  bool writes_ = true;      ///< the peer takes what is sent
  bool finishing_ = false;  ///< to be closed when sent
};
using LinkPtr = std::shared_ptr<LocalLink>;

}  // namespace cairn::internal
