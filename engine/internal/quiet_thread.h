#pragma once
// Threads of the engine: named, and with all signals blocked, so that a signal of the program is
// always handled by a thread of the program.

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace cairn::engine::internal {

/// Starts `body` on such a thread. `name` has at most 15 characters (Linux). Throws
/// std::system_error.
template <class Body>
[[nodiscard]] std::thread start_quiet_thread(const char* name, Body body) {
  // The mask is inherited: set before the thread exists, no signal can slip in between.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  struct Restore {
    sigset_t* mask;
    ~Restore() { pthread_sigmask(SIG_SETMASK, mask, nullptr); }
  } restore{&before};
  std::thread thread(std::move(body));
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace cairn::engine::internal
