#pragma once
// What the engine does by itself: memory that is aligned and lent is written, nothing is copied and
// nothing computed.

#include <cairn/engine/engine.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace cairn::bench {

/// In huge pages, where staging memory and large arrays of numpy lie, or in pages of 4 KiB:
/// the kernel pins each page of a write.
enum class Pages : unsigned char { huge, small };

/// 16 MiB of random bytes, as much as a large chunk, in pages that nobody has had: those that
/// malloc() gives may be of another kind.
class FreshBlock {
 public:
  /// Throws std::system_error where the system gives no memory.
  FreshBlock(std::uint64_t seed, Pages pages);
  ~FreshBlock();
  FreshBlock(const FreshBlock&) = delete;
  FreshBlock& operator=(const FreshBlock&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept;

 private:
  void* mapping_;
  std::byte* data_;
};

/// What writing a file gave.
struct Written {
  std::uint64_t bytes = 0;
  double seconds = 0;      ///< until they were durable
  double cpu_seconds = 0;  ///< of the whole process
  [[nodiscard]] double gb() const { return static_cast<double>(bytes) / 1e9; }
};
/// Writes `block` again and again to a new file, 8 times at once, until it has as many of `bytes`
/// as whole blocks hold: at least one. Throws what the engine's operations throw.
[[nodiscard]] Written write_blocks(const std::shared_ptr<engine::Engine>& engine,
                                   const std::string& folder, const std::string& name,
                                   std::uint64_t bytes, std::shared_ptr<const FreshBlock> block);

}  // namespace cairn::bench
