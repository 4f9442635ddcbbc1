#pragma once
// Memory that the kernel keeps pinned for a ring, so that a transfer within it need not look its
// pages up.
//
// Registering pins every page at once, but an arena is large and grows as it is used. So the ring
// gets an empty table with one place for each slab of the arenas, and the first transfer inside a
// slab registers it. A transfer across two slabs is carried out as any other memory's: the kernel
// takes one place of the table for each.

#include <cairn/engine/io_backend.h>
#include <liburing.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cairn::engine::internal {

class RegisteredMemory {
 public:
  /// Large enough that few transfers lie across two, small enough that an engine that moves little
  /// pins little; whole huge pages. The kernel's own limit is 1 GiB.
  static constexpr std::size_t kSlabBytes = 32u << 20;

  RegisteredMemory();

  /// Makes the table for `ranges`. On the ring's thread, once, before the first find(). What cannot
  /// be had shows in describe(); nothing fails.
  void set_up(io_uring* ring, std::span<const std::span<std::byte>> ranges) noexcept;
  /// The place in the ring's table of the slab that holds all of [data, data + length), registering
  /// it if need be; none where there is no such slab. On the ring's thread.
  [[nodiscard]] std::optional<int> find(const void* data, std::size_t length) noexcept;
  /// Fills the fields about registered buffers. Thread-safe.
  void describe(BackendInfo& info) const;

 private:
  struct Range {
    std::byte* data = nullptr;
    std::size_t size = 0;
    unsigned first_slab = 0;  // its place in the table
  };
  [[nodiscard]] bool register_slab(unsigned slab, std::byte* data, std::size_t size) noexcept;
  void give_up(std::string why) noexcept;

  // The ring's thread only.
  io_uring* ring_ = nullptr;
  std::vector<Range> ranges_;
  std::vector<bool> registered_;  // by slab
  bool given_up_ = false;         // what is registered stays in use

  std::atomic<std::uint64_t> bytes_{0};
  mutable std::mutex mutex_;
  std::string reason_;
};

}  // namespace cairn::engine::internal
