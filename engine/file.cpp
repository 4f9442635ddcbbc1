#include <cairn/engine/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include <utility>

namespace cairn::engine {

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this == &other) return *this;
  const Descriptor old(std::exchange(fd_, other.release()));
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int Descriptor::release() noexcept {
  return std::exchange(fd_, -1);
}

EngineDescriptor::EngineDescriptor(std::shared_ptr<Engine> engine, Descriptor fd) noexcept
    : engine_(std::move(engine)), fd_(std::move(fd)) {}

EngineDescriptor& EngineDescriptor::operator=(EngineDescriptor&& other) noexcept {
  if (this == &other) return *this;
  const EngineDescriptor old(std::exchange(engine_, std::move(other.engine_)),
                             std::exchange(fd_, std::move(other.fd_)));
  return *this;
}

EngineDescriptor::~EngineDescriptor() {
  if (engine_ && fd_) engine_->close_later(fd_.release());
}

File::File(std::shared_ptr<Engine> engine, Descriptor fd, bool direct,
           std::uint32_t alignment) noexcept
    : fd_(std::move(engine), std::move(fd)), direct_(direct), alignment_(alignment) {
  if (!direct_) window_ = std::make_shared<impl::WriteBackWindow>();
}

std::size_t File::read_cached(std::uint64_t offset, std::span<std::byte> bytes) const noexcept {
  if (direct_ || !fd_ || !fd_.engine()->may_read_cached()) return 0;
  std::size_t count = 0;
  while (count < bytes.size()) {
    iovec rest{bytes.data() + count, bytes.size() - count};
    const ::ssize_t got =
        ::preadv2(fd_.get(), &rest, 1, static_cast<::off_t>(offset + count), RWF_NOWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    count += static_cast<std::size_t>(got);
  }
  fd_.engine()->note_read(count);
  return count;
}

IoRequest File::request(IoOp op) const {
  IoRequest made(op);
  made.fd = fd_.get();
  return made;
}

IoRequest File::transfer(IoOp op, std::uint64_t offset, const std::byte* buffer,
                         std::size_t length) const {
  IoRequest made = request(op);
  made.offset = offset;
  made.length = length;
  // One field serves both directions; a write only reads from it.
  made.buffer = const_cast<std::byte*>(buffer);
  return made;
}

Directory::Directory(std::shared_ptr<Engine> engine, Descriptor fd) noexcept
    : fd_(std::move(engine), std::move(fd)) {}

IoRequest Directory::request(IoOp op, std::string name) const {
  IoRequest made(op);
  made.fd = fd_.get();
  made.path = std::move(name);
  return made;
}

IoRequest Directory::pair(IoOp op, std::string name, const Directory& to,
                          std::string to_name) const {
  IoRequest made = request(op, std::move(name));
  made.fd2 = to.fd_.get();
  made.path2 = std::move(to_name);
  return made;
}

}  // namespace cairn::engine
