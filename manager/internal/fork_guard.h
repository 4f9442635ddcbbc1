#pragma once
// Descriptors that a forked child must not share. CLOEXEC helps only a child that executes: a data
// loader that lives on would keep a lock held, and a connection open whose end others wait to see.

#include <cstdint>
#include <mutex>

namespace cairn::internal {

/// While one lives, no fork() of this process happens. In a child the descriptors that were
/// registered point at /dev/null. Thread-safe; hold it for a few system calls only.
class ForkGuard {
 public:
  ForkGuard();
  /// How many fork()s of this process there have been. Where it is what it was before a descriptor
  /// was made without a guard, no child has that descriptor.
  [[nodiscard]] std::uint64_t forks() const;
  /// Registers a descriptor that no child has.
  void add(int descriptor);
  /// Before it is closed, under the same guard.
  void remove(int descriptor);

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace cairn::internal
