#include <cairn/manager/internal/local_hub.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace cairn::internal {

namespace asio = boost::asio;

LocalHub::LocalHub(asio::io_context& context, ProcessIndex count, Hooks hooks)
    : context_(context),
      count_(count),
      hooks_(std::move(hooks)),
      hub_(count, [this](ProcessIndex to, FromHub message) { deliver(to, std::move(message)); }) {
  hub_.joined(0);
}

void LocalHub::listen(std::unique_ptr<Listener> listener) {
  listener_ = std::move(listener);
  readiness_.emplace(context_, listener_->get());
  accept();
}

void LocalHub::wait_for_next() {
  readiness_->async_wait(asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code error) {
                           if (!error && !finished_) accept();
                         });
}

void LocalHub::accept() {
  if (finished_) return;
  for (;;) {
    bool failed = false;
    Descriptor socket;
    {
      ForkGuard forks;
      socket = listener_->accept(forks, failed);
    }
    if (failed) return hooks_.accept_later();
    if (!socket) return wait_for_next();
    adopt(std::move(socket));
  }
}

void LocalHub::adopt(Descriptor socket) {
  const bool trusted = peer_is_trusted(socket.get());
  const auto link = std::make_shared<LocalLink>(context_, std::move(socket));
  if (!trusted) return link->abort();
  if (strangers_.size() == kStrangersMax) {
    strangers_.front()->abort();
    strangers_.pop_front();
  }
  strangers_.push_back(link);
  const std::weak_ptr<LocalLink> weak = link;
  LocalLink::Events events;
  events.on_message = [this, weak](std::string_view body) {
    if (const auto self = weak.lock()) greet(self, body);
  };
  events.on_end = [this, raw = link.get()](const std::string&) { forget(raw); };
  link->start(std::move(events), kHelloBytes);
}

void LocalHub::greet(const LinkPtr& link, std::string_view body) {
  auto refuse = [&](ErrorCode code, std::string text) {
    link->send(frame_of(FromHub(Gone{code, bounded_text(std::move(text))})));
    link->finish();
    forget(link.get());
  };
  Hello hello;
  try {
    hello = decode_hello(body);
  } catch (const BadMessage& bad) {
    return refuse(ErrorCode::invalid_argument, bad.what());
  }
  if (hello.version != kCoordinationVersion) {
    return refuse(ErrorCode::not_supported,
                  fmt::format("process 0 speaks version {} of the coordination's messages, this "
                              "process version {}: run one release of Cairn in all processes",
                              kCoordinationVersion, hello.version));
  }
  if (hello.count != count_ || hello.index == 0 || hello.index >= count_) {
    return refuse(ErrorCode::invalid_argument,
                  fmt::format("this is not {}: process 0 is one of {}",
                              process_text(hello.index, hello.count), count_));
  }
  if (hub_.has_joined(hello.index)) {
    return refuse(ErrorCode::already_exists, process_text(hello.index, count_) +
                                                 " has connected already: each has one coordinator "
                                                 "in its life");
  }
  links_.emplace(hello.index, link);
  forget(link.get());
  LocalLink::Events events;
  events.on_message = [this, index = hello.index](std::string_view message) {
    hub_.receive(index, decode_to_hub(message));
  };
  events.on_end = [this, index = hello.index](std::string why) {
    hub_.left(index, ErrorCode::io_error, std::move(why));
  };
  link->become(std::move(events), kToHubBytesMax);
  hub_.joined(hello.index);
}

void LocalHub::deliver(ProcessIndex to, FromHub message) {
  if (to == 0) return hooks_.to_own_member(std::move(message));
  const auto link = links_.find(to);
  if (link != links_.end()) link->second->send(frame_of(message));
}

void LocalHub::forget(const LocalLink* stranger) {
  std::erase_if(strangers_, [stranger](const LinkPtr& link) { return link.get() == stranger; });
}

void LocalHub::finish() {
  finished_ = true;
  const std::string text = "has ended its coordinator";
  hub_.left(0, ErrorCode::closed, text);
  const Frame farewell =
      frame_of(FromHub(Gone{ErrorCode::closed, process_text(0, count_) + " " + text}));
  for (const auto& [index, link] : links_) {
    link->send(farewell);
    link->finish();
  }
  for (const LinkPtr& link : strangers_) link->abort();
  strangers_.clear();
  // Not the descriptor's owner.
  if (readiness_) static_cast<void>(readiness_->release());
  readiness_.reset();
  listener_.reset();
}

void LocalHub::abort() {
  for (const auto& [index, link] : links_) link->abort();
}

}  // namespace cairn::internal
