#pragma once
// A source whose elements are those of an array: what arrives later, as far as a save can tell.

#include <cairn/codecs/array.h>
#include <cairn/codecs/leaf.h>

#include <exception>
#include <functional>
#include <span>
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

}  // namespace cairn::test
