#pragma once
// Threads of the engine: named, with every signal blocked, and knowing that they are ours.

#include <csignal>
#include <functional>
#include <thread>

namespace cairn::engine::internal {

/// Blocks every signal on this thread until destroyed; threads started meanwhile inherit that.
class SignalBlock {
 public:
  SignalBlock() noexcept;
  ~SignalBlock();
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  ::sigset_t before_;
};

/// The kernel's scheduling policy of this thread outside any BatchScheduling: SCHED_OTHER, unless
/// somebody has set another.
[[nodiscard]] int scheduling_policy() noexcept;

/// While it lives this thread, when it is woken, lets the one go on that has the core
/// (SCHED_BATCH): a worker copies and encodes for milliseconds, and somebody else's step waits for
/// that. Does nothing to a thread with a policy of its own, or where the system refuses.
class BatchScheduling {
 public:
  /// `elsewhere` is the policy that the thread has when it works for others. Threads inherit that
  /// of the one that started them: where it is SCHED_OTHER, SCHED_BATCH is taken for inherited from
  /// such a scope.
  explicit BatchScheduling(int elsewhere = scheduling_policy()) noexcept;
  ~BatchScheduling();
  BatchScheduling(const BatchScheduling&) = delete;
  BatchScheduling& operator=(const BatchScheduling&) = delete;

 private:
  bool changed_ = false;
};

/// True on a thread that must not wait for the engine to end: it would wait for itself.
[[nodiscard]] bool on_engine_thread() noexcept;

/// Makes on_engine_thread() true while it lives; for workers that somebody else started.
class EngineThreadScope {
 public:
  EngineThreadScope() noexcept;
  ~EngineThreadScope();
  EngineThreadScope(const EngineThreadScope&) = delete;
  EngineThreadScope& operator=(const EngineThreadScope&) = delete;

 private:
  bool before_;
};

/// Starts a thread that runs `body`, which must not throw. `name` has at most 15 characters (a
/// limit of the kernel's). It has this thread's scheduling_policy(). Throws std::system_error where
/// no thread can be had.
[[nodiscard]] std::thread start_thread(const char* name, std::function<void()> body);

/// Runs `body` on a thread of its own that nobody joins: for ends that would wait for their own
/// thread.
void run_on_reaper(std::function<void()> body);
/// Waits until every body given to run_on_reaper() has returned. For tests.
void wait_for_reapers();

}  // namespace cairn::engine::internal
