#pragma once
// Sources whose elements are those of an array: what arrives later, as far as a save can tell.

#include <cairn/codecs/array.h>
#include <cairn/codecs/leaf.h>

#include <exception>
#include <functional>
#include <span>
#include <thread>
#include <utility>

namespace cairn::test {

class ArraySource final : public Source {
 public:
  explicit ArraySource(Array array) : array_(std::move(array)) {}
  void read(const IndexRange& range, std::span<std::byte> to,
            std::function<void(std::exception_ptr)> done) override {
    copy_region(array_, range.origin, range.shape, to.data());
    done(nullptr);
  }

 private:
  Array array_;
};

/// That likes boxes of one shape, and is slow to answer: another thread does.
class ChunkedSource final : public Source {
 public:
  ChunkedSource(Array array, Shape box) : array_(std::move(array)), box_(std::move(box)) {}
  void read(const IndexRange& range, std::span<std::byte> to,
            std::function<void(std::exception_ptr)> done) override {
    std::thread([this, range, to, done = std::move(done)] {
      copy_region(array_, range.origin, range.shape, to.data());
      done(nullptr);
    }).detach();
  }
  [[nodiscard]] Shape natural_box() const override { return box_; }

 private:
  Array array_;
  Shape box_;
};

}  // namespace cairn::test
