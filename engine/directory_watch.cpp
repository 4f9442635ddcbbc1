#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/directory_watch.h>
#include <cairn/engine/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <climits>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

constexpr std::uint32_t kSelf = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT;
constexpr std::uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
// Some events at once; one with the longest name fits.
constexpr std::size_t kReadBytes = 4096;
static_assert(kReadBytes >= sizeof(inotify_event) + NAME_MAX + 1);

/// One wait, which a timer and an event may both end.
class Wake {
 public:
  void now() noexcept {
    if (!over_.test_and_set()) closed_.reset();
  }
  [[nodiscard]] AsyncSemaphore& gate() noexcept { return gate_; }

 private:
  AsyncSemaphore gate_{1};
  Permit closed_ = gate_.try_acquire(1);
  std::atomic_flag over_;
};

}  // namespace

/// Touched on the strand alone.
struct DirectoryWatch::State : std::enable_shared_from_this<State> {
  using Watched = std::map<int, WatchedDirectory::Wanted>;  // by watch descriptor

  explicit State(std::shared_ptr<Engine> e) : engine(std::move(e)) {}
  bool open();
  void close();
  void keep_only(Watched wanted);
  /// Hears the next event, unless that is under way.
  void listen();
  void hear(const error_code& failed);
  [[nodiscard]] bool read_events();
  [[nodiscard]] bool counts(const inotify_event& event, std::string_view name) const;
  void happened();

  std::shared_ptr<Engine> engine;
  std::optional<asio::posix::stream_descriptor> events;
  Watched watched;
  error_code error;
  bool listening = false;
  bool noted = false;  ///< something has happened that no wait has ended for
  std::shared_ptr<Wake> wake;
};

bool DirectoryWatch::State::open() {
  if (events) return true;
  Descriptor made(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!made) {
    error = from_errno(errno);
    return false;
  }
  try {
    events.emplace(engine->executor(), made.get());
  } catch (const boost::system::system_error& refused) {
    error = refused.code();
    return false;
  }
  static_cast<void>(made.release());
  return true;
}

void DirectoryWatch::State::close() {
  events.reset();
  watched.clear();
}

void DirectoryWatch::State::keep_only(Watched wanted) {
  for (const auto& [descriptor, names] : watched) {
    if (!wanted.contains(descriptor)) ::inotify_rm_watch(events->native_handle(), descriptor);
  }
  watched = std::move(wanted);
}

void DirectoryWatch::State::listen() {
  if (listening || !events) return;
  listening = true;
  events->async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](const error_code& failed) { self->hear(failed); });
}

void DirectoryWatch::State::hear(const error_code& failed) {
  listening = false;
  if (failed || !events) return;
  if (read_events()) happened();
  listen();
}

bool DirectoryWatch::State::read_events() {
  bool any = false;
  alignas(inotify_event) std::array<char, kReadBytes> buffer;
  while (true) {
    const ssize_t bytes = ::read(events->native_handle(), buffer.data(), buffer.size());
    if (bytes <= 0) return any;  // EAGAIN: that was all
    std::size_t at = 0;
    while (at < static_cast<std::size_t>(bytes)) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      // Padded with zeros.
      const char* name = event.len > 0 ? buffer.data() + at + sizeof(event) : "";
      any = counts(event, name) || any;
      at += sizeof(event) + event.len;
    }
  }
}

bool DirectoryWatch::State::counts(const inotify_event& event, std::string_view name) const {
  if ((event.mask & IN_Q_OVERFLOW) != 0) return true;
  const auto found = watched.find(event.wd);
  if (found == watched.end()) return false;
  if ((event.mask & kSelf) != 0) return true;
  if (name.empty()) return false;
  try {
    return found->second(name);
  } catch (...) {
    return true;  // whoever looks again will see what is wrong
  }
}

void DirectoryWatch::State::happened() {
  noted = true;
  if (wake) wake->now();
}

DirectoryWatch::DirectoryWatch(std::shared_ptr<Engine> engine)
    : state_(std::make_shared<State>(std::move(engine))) {}

DirectoryWatch::~DirectoryWatch() {
  if (state_->engine->forked()) {
    // The strand has no thread here, and its reactor is the parent's.
    static_cast<void>(new std::shared_ptr<State>(std::move(state_)));
    return;
  }
  const std::shared_ptr<Engine> keep = state_->engine;
  asio::post(keep->executor(), [state = std::move(state_)] { state->close(); });
}

error_code DirectoryWatch::error() const noexcept {
  return state_->error;
}

asio::awaitable<DirectoryWatch::Answer> DirectoryWatch::watch(
    std::vector<WatchedDirectory> directories) {
  return watch(state_, std::move(directories));
}

asio::awaitable<void> DirectoryWatch::wait_until(Clock::Duration deadline) {
  return wait_until(state_, deadline);
}

asio::awaitable<DirectoryWatch::Answer> DirectoryWatch::watch(
    std::shared_ptr<State> state, std::vector<WatchedDirectory> directories) {
  if (!state->open()) co_return Answer::unable;
  State::Watched wanted;
  bool anew = false;
  bool all = true;
  for (WatchedDirectory& directory : directories) {
    IoRequest request(IoOp::watch);
    request.fd = state->events->native_handle();
    request.fd2 = directory.fd;
    request.flags = static_cast<int>(kEvents | IN_ONLYDIR);
    auto [failed, result] = co_await async_io(state->engine, std::move(request), kAsTuple);
    if (failed == asio::error::operation_aborted) throw boost::system::system_error(failed);
    if (failed) {
      state->error = failed;
      all = false;
      continue;
    }
    const int descriptor = static_cast<int>(result.value);
    anew = anew || !state->watched.contains(descriptor);
    // At once: an event may come before the others are watched.
    state->watched.insert_or_assign(descriptor, directory.wanted);
    wanted.insert_or_assign(descriptor, std::move(directory.wanted));
  }
  state->keep_only(std::move(wanted));
  if (!all) co_return Answer::unable;
  co_return anew ? Answer::anew : Answer::as_before;
}

asio::awaitable<void> DirectoryWatch::wait_until(std::shared_ptr<State> state,
                                                 Clock::Duration deadline) {
  state->listen();
  Clock& clock = state->engine->clock();
  error_code failed;
  if (!state->noted && clock.steady() < deadline) {
    const auto wake = std::make_shared<Wake>();
    state->wake = wake;
    const Clock::TimerId timer = clock.call_at(deadline, [wake] { wake->now(); });
    auto [aborted, passed] = co_await wake->gate().async_acquire(1, kAsTuple);
    static_cast<void>(passed);
    failed = aborted;
    state->wake.reset();
    clock.cancel(timer);
  }
  state->noted = false;
  if (failed) throw boost::system::system_error(asio::error::operation_aborted);
}

}  // namespace cairn::engine
