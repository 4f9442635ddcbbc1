#pragma once
// Unix domain sockets between processes of one host: making them, and what children and strangers
// must not get.

#include <cairn/manager/internal/fork_guard.h>
#include <sys/types.h>

#include <array>
#include <string>

namespace cairn::internal {

/// Owns a descriptor. Move-only. A guarded one takes a ForkGuard to close.
class Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept
      : guarded_(other.guarded_), descriptor_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] explicit operator bool() const noexcept { return descriptor_ >= 0; }
  /// Keeps it from forked children.
  void guard(ForkGuard& forks);
  /// The new owner removes it from ForkGuard.
  [[nodiscard]] int release() noexcept;
  void close() noexcept;

 private:
  bool guarded_ = false;
  int descriptor_ = -1;
};

/// A connected pair, which forked children do inherit.
[[nodiscard]] std::array<Descriptor, 2> socket_pair();

/// Connects to who listens at `path`, without waiting. Guarded. Without a descriptor: `why` says
/// what is wrong.
[[nodiscard]] Descriptor connect_to(const std::string& path, ForkGuard& forks, std::string& why);

/// True where the other end is a process of this user, or of root.
[[nodiscard]] bool peer_is_trusted(int descriptor);

/// Throws invalid_argument for a path that no socket can have.
void check_socket_path(const std::string& path);

/// A socket file that is listened at. Takes the place of one that a dead process has left; removes
/// its own at the end.
class Listener {
 public:
  /// Throws Error: busy where somebody listens there, what the system says otherwise.
  explicit Listener(const std::string& path);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] int get() const noexcept { return socket_.get(); }
  /// The next who connected, guarded. None: nobody is there, or `failed`, where
  /// descriptors have run out: try later.
  [[nodiscard]] Descriptor accept(ForkGuard& forks, bool& failed);

 private:
  std::string path_;  ///< absolute: the working directory may change
  Descriptor socket_;
  ::dev_t device_ = 0;
  ::ino_t inode_ = 0;
};

}  // namespace cairn::internal
