#include <cairn/engine/impl/write_back_window.h>

#include <algorithm>

namespace cairn::engine::impl {

namespace {

ByteRange hull_of(ByteRange a, ByteRange b) noexcept {
  if (a.length == 0) return b;
  if (b.length == 0) return a;
  const std::uint64_t offset = std::min(a.offset, b.offset);
  return {offset, std::max(a.offset + a.length, b.offset + b.length) - offset};
}

}  // namespace

bool WriteBackWindow::add(ByteRange written, ByteRange& start, ByteRange& drop) noexcept {
  std::lock_guard lock(mutex_);
  hull_ = hull_of(hull_, written);
  hull_bytes_ += written.length;
  if (hull_bytes_ < kWriteBackWindowBytes) return false;
  start = hull_;
  drop = started_;
  started_ = hull_;
  hull_ = {};
  hull_bytes_ = 0;
  return true;
}

ByteRange WriteBackWindow::take_rest() noexcept {
  std::lock_guard lock(mutex_);
  if (started_.length == 0) return {};
  const ByteRange rest = hull_of(started_, hull_);
  started_ = hull_ = {};
  hull_bytes_ = 0;
  return rest;
}

}  // namespace cairn::engine::impl
