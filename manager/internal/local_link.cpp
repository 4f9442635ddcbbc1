#include <cairn/manager/internal/local_link.h>

#include <fmt/format.h>
#include <boost/asio/error.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <utility>

namespace cairn::internal {

namespace asio = boost::asio;
using boost::system::error_code;

LocalLink::LocalLink(asio::io_context& context, Descriptor socket) : socket_(context) {
  socket_.assign(asio::local::stream_protocol(), socket.get());
  static_cast<void>(socket.release());
}

LocalLink::~LocalLink() {
  close();
}

void LocalLink::start(Events events, std::size_t frame_bytes_max) {
  become(std::move(events), frame_bytes_max);
  reads_ = true;
  read_length();
}

void LocalLink::become(Events events, std::size_t frame_bytes_max) {
  events_ = std::make_shared<const Events>(std::move(events));
  frame_max_ = frame_bytes_max;
}

void LocalLink::read_length() {
  asio::async_read(socket_, asio::buffer(&length_, sizeof(length_)),
                   [self = shared_from_this()](error_code error, std::size_t) {
                     if (!self->reads_) return;
                     if (error == asio::error::eof) {
                       return self->end("has died: its connection ended");
                     }
                     if (error) {
                       return self->end("has died: its connection failed: " + error.message());
                     }
                     self->read_body();
                   });
}

void LocalLink::read_body() {
  if (length_ > frame_max_) {
    return end(fmt::format("is cut off: it sent a message of {} bytes, more than {}", length_,
                           frame_max_));
  }
  body_.resize(length_);
  asio::async_read(
      socket_, asio::buffer(body_), [self = shared_from_this()](error_code error, std::size_t) {
        if (!self->reads_) return;
        if (error) {
          return self->end("has died: its connection ended inside a message");
        }
        const auto events = self->events_;
        try {
          events->on_message(self->body_);
        } catch (const BadMessage& bad) {
          return self->end(fmt::format("is cut off: it sent nonsense: {}", bad.what()));
        }
        if (self->body_.capacity() > kFrameOverheadMax) self->body_ = std::string();
        if (self->reads_) self->read_length();
      });
}

void LocalLink::send(Frame frame) {
  if (!writes_ || finishing_ || !socket_.is_open()) return;
  outgoing_.push_back(std::move(frame));
  if (outgoing_.size() == 1) write_next();
}

void LocalLink::write_next() {
  buffers_.clear();
  buffers_.emplace_back(asio::buffer(outgoing_.front().head));
  for (const Payload& payload : outgoing_.front().payloads) {
    buffers_.emplace_back(asio::buffer(*payload));
  }
  asio::async_write(socket_, buffers_, [self = shared_from_this()](error_code error, std::size_t) {
    // What the peer has sent before it closed is still to be read: the reading end says how it
    // ended.
    if (error) self->writes_ = false;
    self->outgoing_.pop_front();
    if (!self->writes_) self->outgoing_.clear();
    if (!self->outgoing_.empty()) {
      self->write_next();
    } else if (self->finishing_) {
      self->close();
    }
  });
}

void LocalLink::finish() {
  reads_ = false;
  finishing_ = true;
  if (outgoing_.empty()) close();
}

void LocalLink::abort() {
  reads_ = false;
  writes_ = false;
  close();
}

void LocalLink::end(std::string why) {
  const auto events = events_;
  abort();
  events->on_end(std::move(why));
}

void LocalLink::close() {
  if (!socket_.is_open()) return;
  ForkGuard forks;
  forks.remove(socket_.native_handle());
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace cairn::internal
