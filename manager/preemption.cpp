#include <cairn/manager/preemption.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace cairn {
namespace {

std::atomic<bool> g_noticed{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only use such");
struct sigaction g_previous;

void on_sigterm(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  notify_preemption();
  if ((g_previous.sa_flags & SA_SIGINFO) != 0) {
    if (g_previous.sa_sigaction != nullptr) g_previous.sa_sigaction(signal, info, context);
  } else if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
    g_previous.sa_handler(signal);
  }
  errno = saved_errno;
}

}  // namespace

void notify_preemption() noexcept {
  g_noticed.store(true, std::memory_order_relaxed);
}

bool preemption_noticed() noexcept {
  return g_noticed.load(std::memory_order_relaxed);
}

void handle_sigterm_as_preemption() {
  struct sigaction current {};
  if (::sigaction(SIGTERM, nullptr, &current) != 0) {
    throw std::system_error(errno, std::generic_category(), "look at the handler of SIGTERM");
  }
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == &on_sigterm) return;
  g_previous = current;
  struct sigaction ours {};
  ours.sa_sigaction = &on_sigterm;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&ours.sa_mask);
  if (::sigaction(SIGTERM, &ours, nullptr) != 0) {
    throw std::system_error(errno, std::generic_category(), "handle SIGTERM");
  }
}

}  // namespace cairn
