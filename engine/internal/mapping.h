#pragma once
// A range of anonymous memory: reserved at once, provided by the kernel as it is touched, in huge
// pages where it can, and not inherited by forked children.

#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>

namespace cairn::engine::internal {

/// Owns `size` bytes (a multiple of the page size), aligned to kHugePage.
class Mapping {
 public:
  static constexpr std::size_t kHugePage = 2u << 20;

  /// Throws boost::system::system_error that names the size.
  explicit Mapping(std::size_t size);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  /// Gives ownership up, to be ended with unmap().
  [[nodiscard]] std::byte* release() noexcept;
  static void unmap(std::byte* data, std::size_t size) noexcept;

  /// Has the kernel provide these pages now. Their content stays, even where it is in use.
  boost::system::error_code prefault(std::size_t offset, std::size_t size) noexcept;

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t generation_ = 0;
};

}  // namespace cairn::engine::internal
