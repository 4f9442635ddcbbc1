#pragma once
// A flock belongs to the open file, which a forked child shares: it would stay for as long as the
// child lives, whatever the parent does.

#include <cstddef>

namespace cairn::internal {

/// So many locks of one process are let go in its children; more stay with the children too.
inline constexpr std::size_t kGuardedLocksMax = 1024;

/// Keeps a locked descriptor out of the children that are forked meanwhile: in each, its number
/// stands for /dev/null, so that closing it there does no harm. Thread-safe.
class LockInChild {
 public:
  explicit LockInChild(int fd) noexcept;
  LockInChild(const LockInChild&) = delete;
  LockInChild& operator=(const LockInChild&) = delete;
  ~LockInChild();

 private:
  std::size_t slot_;
};

}  // namespace cairn::internal
