#include <cairn/engine/impl/write_back_window.h>

#include <algorithm>

namespace cairn::engine::impl {

bool WriteBackWindow::add(ByteRange written, ByteRange& start, ByteRange& drop) noexcept {
  std::lock_guard lock(mutex_);
  if (hull_.length == 0) {
    hull_ = written;
  } else {
    const std::uint64_t end =
        std::max(hull_.offset + hull_.length, written.offset + written.length);
    hull_.offset = std::min(hull_.offset, written.offset);
    hull_.length = end - hull_.offset;
  }
  hull_bytes_ += written.length;
  if (hull_bytes_ < kWriteBackWindowBytes) return false;
  start = hull_;
  drop = started_;
  started_ = hull_;
  hull_ = {};
  hull_bytes_ = 0;
  return true;
}

}  // namespace cairn::engine::impl
