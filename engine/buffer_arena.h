#pragma once
// The memory of saves and restores: one address range for staging (where copies wait for the disk)
// and one for the window (what is being encoded, decoded, written or read). Grown lazily, touched
// in huge pages where the machine gives them, kept and reused: memory given back and taken again
// costs more than a memcpy.

#include <cairn/engine/error.h>
#include <cairn/engine/impl/fair_gate.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace cairn::engine {

/// Every buffer's address and capacity are multiples of this, bytes.
inline constexpr std::size_t kBufferAlignment = 4096;

/// What memory is wanted for: writing (what is encoded and written) and reading (what is read and
/// decoded) each have a share that the other cannot take.
enum class ArenaUse : std::uint8_t { write, read };

class BufferArena;

/// Memory out of an arena, given back on destruction (from any thread). Move-only.
class CAIRN_EXPORT Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  /// Aligned to kBufferAlignment.
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  /// Bytes asked for, rounded up to kBufferAlignment.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// data() and size() in one.
  [[nodiscard]] std::span<std::byte> span() const noexcept { return {data_, size_}; }
  explicit operator bool() const noexcept { return data_ != nullptr; }
  /// Gives the memory back.
  void reset() noexcept;

 private:
  friend class BufferArena;
  struct Core;
  Buffer(std::shared_ptr<Core> core, std::byte* data, std::size_t size, ArenaUse use) noexcept;
  std::shared_ptr<Core> core_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  ArenaUse use_ = ArenaUse::write;
};

/// A pool of aligned memory with a fair queue: whoever asks first is served first, so that a large
/// request is never starved by small ones. With shares, each use has a part of its own, which makes
/// those of the other use wait for nobody but each other; what is left is for whoever asked first.
/// So neither a save that the disk stalls nor a slow restore stops the other. Thread-safe.
class CAIRN_EXPORT BufferArena {
 public:
  struct Stats {
    /// Bytes that it was made with.
    std::size_t capacity_bytes = 0;
    /// Bytes that are given out.
    std::size_t in_use_bytes = 0;
    std::size_t peak_bytes = 0;       ///< most in use at once
    std::size_t committed_bytes = 0;  ///< end of the highest range ever given out or pre-faulted
    std::size_t waiting = 0;          ///< requests in the queue
  };

  /// Reserves addresses, not memory. Throws boost::system::system_error where the kernel refuses.
  /// `share_bytes` (rounded down to kBufferAlignment, at most half the capacity) for each use
  /// alone.
  explicit BufferArena(std::size_t capacity_bytes, std::size_t share_bytes = 0);
  /// Ends what waits with operation_aborted. Buffers given out stay valid until they are given
  /// back.
  ~BufferArena();
  BufferArena(const BufferArena&) = delete;
  BufferArena& operator=(const BufferArena&) = delete;

  /// Completes with void(error_code, Buffer) when `bytes` contiguous bytes are free. A request that
  /// fits into neither the share nor what is common runs alone: it waits until nothing is out for
  /// its use, gets memory of its own, and those of its use behind it wait for its end.
  /// Cancellation leaves the queue with operation_aborted. Errors: ENOMEM for memory of its own
  /// that cannot be had, Errc::request_too_large for an absurd size, Errc::forked_child. A handler
  /// without an executor runs on Asio's own thread pool: an arena knows no engine.
  template <class Token>
  auto async_acquire(std::size_t bytes, ArenaUse use, Token&& token);
  /// For writing.
  template <class Token>
  auto async_acquire(std::size_t bytes, Token&& token);
  /// Memory at once, or an empty buffer; never overtakes a waiting request.
  [[nodiscard]] Buffer try_acquire(std::size_t bytes, ArenaUse use = ArenaUse::write);
  /// Has the kernel provide [offset, offset + bytes) now rather than at first touch; cut to
  /// capacity. Blocks while it does; may be called for several parts at once and while
  /// buffers are in use. An error (ENOMEM, for one) leaves the arena usable.
  error_code prefault(std::size_t bytes, std::size_t offset = 0) noexcept;
  /// What is in use now.
  [[nodiscard]] Stats stats() const;
  /// Bytes that it was made with.
  [[nodiscard]] std::size_t capacity() const noexcept;
  /// The addresses that it gives out, oversize requests excepted; reserved as long as it, or a
  /// buffer out of it, lives.
  [[nodiscard]] std::span<std::byte> memory() const noexcept;

 private:
  using Core = Buffer::Core;
  [[nodiscard]] impl::FairGate<Buffer>& gate() noexcept;

  std::shared_ptr<Core> core_;
};

template <class Token>
auto BufferArena::async_acquire(std::size_t bytes, ArenaUse use, Token&& token) {
  return gate().async_acquire(bytes, static_cast<unsigned>(use), std::forward<Token>(token));
}

template <class Token>
auto BufferArena::async_acquire(std::size_t bytes, Token&& token) {
  return async_acquire(bytes, ArenaUse::write, std::forward<Token>(token));
}

}  // namespace cairn::engine
