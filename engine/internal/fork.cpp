#include <cairn/engine/error.h>
#include <cairn/engine/internal/fork.h>

#include <pthread.h>

#include <boost/system/system_error.hpp>
#include <string>

namespace cairn::engine::internal {
namespace {

std::atomic<std::uint64_t> generation{0};

// getpid() at each call would be a system call; the handler costs nothing where nobody forks.
bool watch_forks() noexcept {
  return ::pthread_atfork(nullptr, nullptr,
                          [] { generation.fetch_add(1, std::memory_order_relaxed); }) == 0;
}

}  // namespace

std::uint64_t fork_generation() noexcept {
  static const bool watching = watch_forks();
  static_cast<void>(watching);
  return generation.load(std::memory_order_relaxed);
}

void check_not_forked(std::uint64_t made_in, const char* what) {
  if (made_in == fork_generation()) return;
  throw boost::system::system_error(
      make_error_code(Errc::forked_child),
      std::string(what) +
          " was made before fork(): use it in the parent, make a new one in the child");
}

}  // namespace cairn::engine::internal
