#pragma once
// The memory of saves and restores: one address range for staging (where copies wait for the disk) and
// one for the window (what is being encoded, decoded, written or read). Grown lazily, touched in huge
// pages where the machine gives them, kept and reused: memory given back and taken again costs more
// than a memcpy (ARCHITECTURE.md, memory).

#include <cairn/engine/error.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace cairn::engine {

/// Every buffer's address and capacity are multiples of this, bytes.
inline constexpr std::size_t kBufferAlignment = 4096;

class BufferArena;

/// Memory out of an arena, given back on destruction (from any thread). Move-only.
class CAIRN_EXPORT Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  /// Bytes asked for, rounded up to kBufferAlignment.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<std::byte> span() const noexcept { return {data_, size_}; }
  explicit operator bool() const noexcept { return data_ != nullptr; }
  void reset() noexcept;

 private:
  friend class BufferArena;
  struct Core;
  Buffer(std::shared_ptr<Core> core, std::byte* data, std::size_t size) noexcept;
  std::shared_ptr<Core> core_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A pool of aligned memory with a fair queue: whoever asks first is served first, so that a large
/// request is never starved by small ones. Thread-safe.
class CAIRN_EXPORT BufferArena {
 public:
  struct Stats {
    std::size_t capacity_bytes = 0;
    std::size_t in_use_bytes = 0;
    std::size_t peak_bytes = 0;      ///< most in use at once
    std::size_t committed_bytes = 0;  ///< touched so far
    std::size_t waiting = 0;         ///< requests in the queue
  };

  explicit BufferArena(std::size_t capacity_bytes);
  ~BufferArena();
  BufferArena(const BufferArena&) = delete;
  BufferArena& operator=(const BufferArena&) = delete;

  /// Completes with void(error_code, Buffer) when `bytes` contiguous bytes are free. A request above
  /// capacity runs alone: it waits until the arena is empty and gets memory of its own. Cancellation
  /// leaves the queue with operation_aborted.
  template <class Token>
  auto async_acquire(std::size_t bytes, Token&& token);
  /// Memory at once, or an empty buffer; never overtakes a waiting request.
  [[nodiscard]] Buffer try_acquire(std::size_t bytes);
  [[nodiscard]] Stats stats() const;
  [[nodiscard]] std::size_t capacity() const noexcept;

 private:
  std::shared_ptr<Buffer::Core> core_;
};

}  // namespace cairn::engine
