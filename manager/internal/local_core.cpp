#include <cairn/engine/engine.h>
#include <cairn/manager/internal/local_core.h>
#include <pthread.h>

#include <fmt/format.h>
#include <boost/asio/post.hpp>

#include <csignal>
#include <utility>

namespace cairn::internal {
namespace {

namespace asio = boost::asio;
using engine::Clock;

/// Until a connection, or a descriptor for one, is tried for again. Soon, because it is the start
/// of a job that waits.
constexpr Clock::Duration kRetryDelay = std::chrono::milliseconds(20);

// Cores of the parent, in a forked child.
std::atomic<LocalCore*> given_up_cores{nullptr};

/// Threads of the library leave signals to the program's own.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    ::sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  ::sigset_t before_;
};

}  // namespace

LocalCore::LocalCore(ProcessIndex i, ProcessIndex n, std::shared_ptr<Clock> clock,
                     std::chrono::milliseconds linger)
    : index(i),
      count(n),
      clock_(clock ? std::move(clock) : engine::system_clock()),
      linger_(linger),
      work_(context_.get_executor()) {}

void LocalCore::open(LocalPlace place) {
  const SignalsBlocked blocked;
  // noexcept: an exception that leaves the thread ends the process here, with its origin on the
  // stack.
  thread_ = std::thread([self = shared_from_this(), place = std::move(place)]() mutable noexcept {
    ::pthread_setname_np(::pthread_self(), "cairn-coord");
    self->run(std::move(place));
  });
}

void LocalCore::run(LocalPlace place) {
  begin(std::move(place));
  context_.run();  // until close()
  finish();
  context_.restart();
  context_.run_for(linger_);
  if (hub_) hub_->abort();
  if (uplink_) uplink_->abort();
  context_.restart();
  context_.run();
}

void LocalCore::begin(LocalPlace place) {
  CoordinationMember::Hooks hooks;
  hooks.send = [this](ToHub message) { send(std::move(message)); };
  hooks.on_timer = [weak = weak_from_this()](std::uint64_t id) {
    const auto core = weak.lock();
    if (core) asio::post(core->context_, [core = core.get(), id] { core->member_->expire(id); });
  };
  member_.emplace(index, count, clock_, std::move(hooks));
  if (index != 0) {
    make_uplink();
    if (place.path.empty()) return uplink_->adopt(std::move(place.sockets.front()));
    return uplink_->connect_to_path(std::move(place.path));
  }
  make_hub();
  for (Descriptor& socket : place.sockets) hub_->adopt(std::move(socket));
  if (place.listener) hub_->listen(std::move(place.listener));
}

void LocalCore::make_hub() {
  LocalHub::Hooks hooks;
  hooks.to_own_member = [this](FromHub message) { received(std::move(message)); };
  hooks.accept_later = [this] { retry([this] { hub_->accept(); }); };
  hub_.emplace(context_, count, std::move(hooks));
}

void LocalCore::make_uplink() {
  LocalUplink::Hooks hooks;
  hooks.on_message = [this](FromHub message) { received(std::move(message)); };
  hooks.on_end = [this](const std::string& why) { member_->end(ErrorCode::io_error, why); };
  hooks.on_state = [this](std::string why) { member_->set_unreachable(std::move(why)); };
  hooks.connect_later = [this] { retry([this] { uplink_->connect(); }); };
  Hello hello;
  hello.version = kCoordinationVersion;
  hello.index = index;
  hello.count = count;
  uplink_.emplace(context_, hello, std::move(hooks));
}

void LocalCore::finish() {
  if (retry_timer_ != 0) clock_->cancel(retry_timer_);
  member_->end(ErrorCode::closed, "this process has ended its coordinator");
  if (hub_) hub_->finish();
  if (uplink_) {
    uplink_->send(Leave{});
    uplink_->finish();
  }
}

void LocalCore::close() {
  // Not context_.stop() from here: what was posted before this is done first.
  asio::post(context_, [this] {
    work_.reset();
    context_.stop();
  });
  if (engine::on_any_strand() || std::this_thread::get_id() == thread_.get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void LocalCore::give_up() {
  given_up_ = shared_from_this();
  next_given_up_ = given_up_cores.exchange(this);
}

void LocalCore::start(impl::Collective operation, std::shared_ptr<impl::CollectiveCall> call) {
  const std::uint64_t id = ++last_id_;
  asio::post(context_, [this, id, operation = std::move(operation), call]() mutable {
    member_->start(id, std::move(operation), std::move(call));
  });
  // After the start is posted, so that a cancellation comes behind it.
  call->on_cancel([weak = weak_from_this(), id] {
    const auto core = weak.lock();
    if (core) asio::post(core->context_, [core = core.get(), id] { core->member_->cancel(id); });
  });
}

void LocalCore::tell(ToHub message) {
  asio::post(context_,
             [this, message = std::move(message)]() mutable { send(std::move(message)); });
}

void LocalCore::announce(std::string name) {
  remember(name);
  tell(Announce{std::move(name)});
}

bool LocalCore::announced(std::string_view name) const {
  const std::lock_guard lock(announced_mutex_);
  return announced_.find(name) != nullptr;
}

void LocalCore::send(ToHub message) {
  if (hub_) {
    hub_->receive_own(std::move(message));
  } else {
    uplink_->send(message);
  }
}

void LocalCore::received(FromHub message) {
  if (auto* const news = std::get_if<Announced>(&message)) {
    remember(std::move(news->name));
  } else if (const auto* gone = std::get_if<Gone>(&message)) {
    member_->end(gone->code, gone->text);
  } else {
    member_->receive(std::move(message));
  }
}

void LocalCore::remember(std::string name) {
  const std::lock_guard lock(announced_mutex_);
  announced_.insert(std::move(name), {});
}

Clock::TimerId LocalCore::post_at(Clock::Duration when, std::function<void()> fn) {
  return clock_->call_at(when, [weak = weak_from_this(), fn = std::move(fn)] {
    const auto core = weak.lock();
    if (core) asio::post(core->context_, fn);
  });
}

void LocalCore::retry(std::function<void()> fn) {
  retry_timer_ = post_at(clock_->steady() + kRetryDelay, std::move(fn));
}

}  // namespace cairn::internal
