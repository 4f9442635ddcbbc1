#pragma once
// What the micro-benchmarks share: sizes, memory, data, and the yardsticks.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace cairn::bench {

/// Fits into a second-level cache, source and target; and what a chunk of an array usually has.
inline constexpr std::int64_t kCachedBytes = std::int64_t{64} << 10;
inline constexpr std::int64_t kChunkBytes = std::int64_t{16} << 20;
inline constexpr std::uint64_t kSampleSeed = 20240817;

/// Memory as the arenas have it: pages are there, huge where the machine gives them. How pages
/// happen to lie would else be part of each figure.
class Memory {
 public:
  explicit Memory(std::size_t bytes);
  [[nodiscard]] std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::span<std::byte> span() const noexcept { return {data_.get(), bytes_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t bytes_;
};

/// The first bytes of a set of generate(), which is made once; at most two chunks.
[[nodiscard]] std::span<const std::byte> sample(const std::string& name, std::size_t bytes);
inline constexpr const char* kBf16 = "bf16 normal";
inline constexpr const char* kFp32 = "fp32 normal";
/// Of bf16 weights, the bytes with the exponents: the plane that is worth coding. At most a chunk.
[[nodiscard]] std::span<const std::byte> exponents(std::size_t bytes);

// Machines differ, so bench/micro/compare looks at a time divided by that of a yardstick of the
// same run. Each benchmark names its own, as its label; a yardstick has none.

/// What the core is the limit of, or memory; range(0) of `state` bytes in each iteration. Memory's
/// yardstick is a copy of as many bytes; the core's is a copy in cache, as other load on the
/// machine takes memory's speed from that of a chunk, but not from this.
enum class Limit { core, memory };
void measure_bytes(benchmark::State& state, Limit limit);
/// `items` in each iteration; the core is the limit.
void measure_items(benchmark::State& state, std::size_t items);
/// Work that other threads take part in: against two system calls that wake one, and it back.
void measure_hops(benchmark::State& state);

inline constexpr const char* kCopyName = "memcpy";
inline constexpr const char* kRoundTripName = "syscall_round_trip";

}  // namespace cairn::bench
