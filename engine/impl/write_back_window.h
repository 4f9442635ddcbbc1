#pragma once
// Buffered writes without a storm at the end: after each window of bytes written, the write-back of
// that window starts, and the window before it (which has had time to reach the disk) is waited for
// and dropped from the cache. The write that fills a window does the waiting: with n writes of one
// file under way at once, up to n + 1 windows of it are dirty. The sync drops what is left. A file
// that never fills a window is left in the cache: metadata, which is read again soon.

#include <cairn/export.h>

#include <cstdint>
#include <mutex>

namespace cairn::engine::impl {

/// A range of a file, bytes; length 0 = none.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// Bytes between two write-backs of a file.
inline constexpr std::uint64_t kWriteBackWindowBytes = 32u << 20;

/// Counts what one file's operations wrote. Thread-safe.
class CAIRN_EXPORT WriteBackWindow {
 public:
  /// Adds a range that was written. When a window is full: true, and the range whose write-back is
  /// to start, and the one to wait for and drop.
  bool add(ByteRange written, ByteRange& start, ByteRange& drop) noexcept;
  /// The range that was written and has not been dropped; none (length 0) where no window was ever
  /// full. Starts anew.
  [[nodiscard]] ByteRange take_rest() noexcept;

 private:
  std::mutex mutex_;
  ByteRange hull_;                // around everything written since the last window
  std::uint64_t hull_bytes_ = 0;  // written in it; chunks may leave holes
  ByteRange started_;
};

}  // namespace cairn::engine::impl
