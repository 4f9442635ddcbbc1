#pragma once
// Which parts of an arena are free: first fit by address, so that memory already touched is used
// again before fresh memory is, and neighbours are joined when they come back.

#include <cassert>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>

namespace cairn::engine::internal {

/// Free ranges of [0, capacity), bytes. Not thread-safe.
class FreeRanges {
 public:
  explicit FreeRanges(std::size_t capacity) { ranges_.emplace(0, capacity); }

  /// The lowest offset with `size` free bytes, now taken; none where no range is large enough.
  [[nodiscard]] std::optional<std::size_t> take(std::size_t size) {
    assert(size > 0);
    for (auto range = ranges_.begin(); range != ranges_.end(); ++range) {
      if (range->second < size) continue;
      const std::size_t offset = range->first;
      if (range->second == size) {
        ranges_.erase(range);
      } else {
        auto node = ranges_.extract(range);
        node.key() += size;
        node.mapped() -= size;
        ranges_.insert(std::move(node));
      }
      return offset;
    }
    return std::nullopt;
  }

  /// Gives back what take() gave.
  void give(std::size_t offset, std::size_t size) {
    auto next = ranges_.lower_bound(offset);
    assert(next == ranges_.end() || offset + size <= next->first);
    if (next != ranges_.end() && offset + size == next->first) {
      size += next->second;
      next = ranges_.erase(next);
    }
    if (next != ranges_.begin()) {
      const auto previous = std::prev(next);
      assert(previous->first + previous->second <= offset);
      if (previous->first + previous->second == offset) {
        previous->second += size;
        return;
      }
    }
    ranges_.emplace_hint(next, offset, size);
  }

  [[nodiscard]] std::size_t fragments() const noexcept { return ranges_.size(); }

 private:
  std::map<std::size_t, std::size_t> ranges_;  // offset -> size; never two that touch
};

}  // namespace cairn::engine::internal
