#include <cairn/manager/internal/coordination_hub.h>
#include <cairn/manager/internal/local_uplink.h>
#include <fmt/format.h>

#include <utility>

namespace cairn::internal {

namespace asio = boost::asio;

LocalUplink::LocalUplink(asio::io_context& context, Hello hello, Hooks hooks)
    : context_(context), hello_(hello), hooks_(std::move(hooks)) {}

void LocalUplink::connect_to_path(std::string path) {
  path_ = std::move(path);
  connect();
}

void LocalUplink::connect() {
  if (finished_ || link_) return;
  std::string why;
  Descriptor socket;
  {
    ForkGuard forks;
    socket = internal::connect_to(path_, forks, why);
  }
  if (socket) return adopt(std::move(socket));
  hooks_.on_state(std::move(why));
  hooks_.connect_later();
}

void LocalUplink::adopt(Descriptor socket) {
  const bool trusted = peer_is_trusted(socket.get());
  link_ = std::make_shared<LocalLink>(context_, std::move(socket));
  if (!trusted) {
    link_->abort();
    return hooks_.on_end(fmt::format("who listens at {} is another user's process", path_));
  }
  hooks_.on_state("");
  link_->send(frame_of(hello_));
  for (Frame& frame : waiting_) link_->send(std::move(frame));
  waiting_.clear();
  LocalLink::Events events;
  events.on_message = [this](std::string_view body) { hooks_.on_message(decode_from_hub(body)); };
  events.on_end = [this](const std::string& why) {
    hooks_.on_end(process_text(0, hello_.count) + " " + why);
  };
  link_->start(std::move(events), kFromHubBytesMax);
}

void LocalUplink::send(const ToHub& message) {
  if (link_) return link_->send(frame_of(message));
  if (finished_) return;
  if (waiting_.size() == kWaitingMax) {
    finish();
    return hooks_.on_end(fmt::format("{} was not there for {} messages",
                                     process_text(0, hello_.count), kWaitingMax));
  }
  waiting_.push_back(frame_of(message));
}

void LocalUplink::finish() {
  finished_ = true;
  waiting_.clear();
  if (link_) link_->finish();
}

void LocalUplink::abort() {
  if (link_) link_->abort();
}

}  // namespace cairn::internal
