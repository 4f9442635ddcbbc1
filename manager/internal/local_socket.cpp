#include <cairn/engine/error.h>
#include <cairn/manager/error.h>
#include <cairn/manager/internal/local_socket.h>
#include <cairn/manager/internal/storage.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace cairn::internal {
namespace {

constexpr std::size_t kPathBytesMax = sizeof(::sockaddr_un::sun_path) - 1;
constexpr std::size_t kSuffixBytesMax = 16;  // ".", a process id, and room
constexpr int kBacklog = SOMAXCONN;

[[noreturn]] void raise(int error, const std::string& path) {
  throw system_failure(engine::from_errno(error), "listen for the processes of the job", path);
}

::sockaddr_un address_of(const std::string& path) {
  ::sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int make_socket() {
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

template <class Call>
int with_address(const std::string& path, int descriptor, Call call) {
  const ::sockaddr_un address = address_of(path);
  return call(descriptor, reinterpret_cast<const ::sockaddr*>(&address), sizeof(address));
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    guarded_ = other.guarded_;
    descriptor_ = other.release();
  }
  return *this;
}

void Descriptor::guard(ForkGuard& forks) {
  forks.add(descriptor_);
  guarded_ = true;
}

int Descriptor::release() noexcept {
  guarded_ = false;
  return std::exchange(descriptor_, -1);
}

void Descriptor::close() noexcept {
  if (descriptor_ < 0) return;
  if (!guarded_) {
    ::close(release());
    return;
  }
  ForkGuard forks;
  forks.remove(descriptor_);
  ::close(release());
}

std::array<Descriptor, 2> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    throw system_failure(engine::from_errno(errno), "connect the processes of the job", "");
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

Descriptor connect_to(const std::string& path, ForkGuard& forks, std::string& why) {
  Descriptor socket(make_socket());
  // A Unix socket connects at once or not at all.
  if (socket && with_address(path, socket.get(), ::connect) == 0) {
    socket.guard(forks);
    return socket;
  }
  why = fmt::format("cannot connect to {}: {}", path, std::strerror(errno));
  return {};
}

bool peer_is_trusted(int descriptor) {
  ::ucred peer{};
  ::socklen_t size = sizeof(peer);
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

void check_socket_path(const std::string& path) {
  const std::size_t most = kPathBytesMax - kSuffixBytesMax;
  if (!path.empty() && path.size() <= most) return;
  ErrorContext context;
  context.operation = "coordinate processes";
  context.path = path;
  context.remedy = "Choose a shorter path, relative to the working directory or in /run or /tmp";
  throw Error(ErrorCode::invalid_argument,
              fmt::format("the path of a socket has 1 to {} bytes, this one {}", most, path.size()),
              context);
}

Listener::Listener(const std::string& path) : path_(std::filesystem::absolute(path)) {
  ForkGuard forks;
  const Descriptor probe(make_socket());
  if (probe && with_address(path, probe.get(), ::connect) == 0) {
    ErrorContext context;
    context.operation = "listen for the processes of the job";
    context.path = path;
    context.remedy = "Give each job a path of its own, and process 0 one coordinator";
    throw Error(ErrorCode::busy, "another process listens there", context);
  }
  // Made aside and renamed, so that whoever finds it finds it listening; that also takes the place
  // of what a dead process has left.
  const std::string aside = fmt::format("{}.{}", path, ::getpid());
  ::unlink(aside.c_str());
  Descriptor socket(make_socket());
  if (!socket) raise(errno, path);
  // Before the bind, which makes the file with the socket's mode (unix_bind() of Linux).
  if (::fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0) raise(errno, path);
  if (with_address(aside, socket.get(), ::bind) != 0) raise(errno, path);
  struct ::stat status {};
  if (::listen(socket.get(), kBacklog) != 0 || ::stat(aside.c_str(), &status) != 0 ||
      ::rename(aside.c_str(), path.c_str()) != 0) {
    const int failure = errno;
    ::unlink(aside.c_str());
    raise(failure, path);
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
  socket_ = std::move(socket);
  socket_.guard(forks);
}

Listener::~Listener() {
  struct ::stat status {};
  const bool is_ours =
      ::stat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
  if (is_ours) ::unlink(path_.c_str());
}

Descriptor Listener::accept(ForkGuard& forks, bool& failed) {
  Descriptor peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  // One that has gone again is no failure of ours.
  failed = !peer && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR;
  if (peer) peer.guard(forks);
  return peer;
}

}  // namespace cairn::internal
