#pragma once
// A ring and what its kernel can do. Used on the thread that made it.

#include <cairn/engine/io_backend.h>
#include <liburing.h>

#include <bitset>
#include <stdexcept>
#include <string>
#include <vector>

namespace cairn::engine::internal {

inline constexpr std::size_t kIoOpCount = static_cast<std::size_t>(IoOp::watch) + 1;

/// Found by asking the ring, never from the kernel's version.
struct RingFeatures {
  std::vector<std::string> flags;     // names of the set-up flags that the kernel took
  std::bitset<kIoOpCount> supported;  // operations that have an opcode here
};

/// Why there is no ring: the errno, with a cause and a remedy in what().
class RingRefused : public std::runtime_error {
 public:
  RingRefused(int error, const std::string& what) : std::runtime_error(what), error_(error) {}
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  int error_;
};

class Ring {
 public:
  /// Throws RingRefused.
  explicit Ring(unsigned entries);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  [[nodiscard]] const RingFeatures& features() const noexcept { return features_; }
  /// A cleared submission entry; submits what is queued when the ring is full.
  [[nodiscard]] io_uring_sqe* entry() noexcept;
  /// Submits all entries and waits until at least one completion is there.
  void submit_and_wait() noexcept;
  [[nodiscard]] io_uring* get() noexcept { return &ring_; }

 private:
  void set_up(unsigned entries);
  void probe();

  io_uring ring_{};
  RingFeatures features_;
};

}  // namespace cairn::engine::internal
