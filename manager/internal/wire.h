#pragma once
// Numbers and strings in what processes tell each other.

#include <cairn/manager/error.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::internal {

class WireWriter {
 public:
  void number(std::uint64_t value) {
    constexpr std::uint64_t kMore = 0x80;
    while (value >= kMore) {
      text_.push_back(static_cast<char>(value | kMore));
      value >>= 7;
    }
    text_.push_back(static_cast<char>(value));
  }
  void bytes(std::string_view value) {
    number(value.size());
    text_ += value;
  }
  [[nodiscard]] std::string take() noexcept { return std::move(text_); }

 private:
  std::string text_;
};

/// Throws Error(internal) at the first thing that no WireWriter wrote.
class WireReader {
 public:
  explicit WireReader(std::string_view text) : rest_(text) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) fail();
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80u) return value;
    }
    fail();
  }
  std::uint64_t at_most(std::uint64_t limit) {
    const std::uint64_t value = number();
    if (value > limit) fail();
    return value;
  }
  std::uint64_t below(std::uint64_t limit) {
    if (limit == 0) fail();
    return at_most(limit - 1);
  }
  /// A count of what follows, each at least a byte.
  std::size_t count() { return checked(number()); }
  /// `value`, a count likewise.
  [[nodiscard]] std::size_t checked(std::uint64_t value) const {
    if (value > rest_.size()) fail();
    return static_cast<std::size_t>(value);
  }
  std::string_view bytes() {
    const std::size_t size = count();
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }
  void end() const {
    if (!rest_.empty()) fail();
  }

 private:
  [[noreturn]] static void fail() {
    ErrorContext context;
    context.remedy = "Run the same release in every process";
    throw Error(ErrorCode::internal, "another process sent what cannot be read", context);
  }
  std::string_view rest_;
};

}  // namespace cairn::internal
