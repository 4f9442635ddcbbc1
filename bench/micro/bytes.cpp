// Copies and checksums: what every byte of a save goes through.

#include <cairn/codecs/array.h>
#include <cairn/codecs/crc32c.h>

#include <cstring>

#include "micro/samples.h"

namespace cairn::bench {
namespace {

std::size_t bytes_of(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

// A yardstick, so without a label of its own.
void run_memcpy(benchmark::State& state) {
  const auto from = sample(kBf16, bytes_of(state));
  const Memory to(from.size());
  while (state.KeepRunning()) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(run_memcpy)->Name(kCopyName)->Arg(kCachedBytes)->Arg(kChunkBytes);

void run_crc32c(benchmark::State& state) {
  const auto from = sample(kBf16, bytes_of(state));
  while (state.KeepRunning()) benchmark::DoNotOptimize(crc32c(from));
  measure_bytes(state, Limit::memory);
}
BENCHMARK(run_crc32c)->Name("crc32c")->Arg(kCachedBytes)->Arg(kChunkBytes);

void run_copy_crc32c(benchmark::State& state) {
  const auto from = sample(kBf16, bytes_of(state));
  const Memory to(from.size());
  while (state.KeepRunning()) {
    benchmark::DoNotOptimize(copy_crc32c(from, to.data()));
    benchmark::ClobberMemory();
  }
  if (std::memcmp(to.data(), from.data(), from.size()) != 0) state.SkipWithError("a wrong copy");
  measure_bytes(state, Limit::memory);
}
BENCHMARK(run_copy_crc32c)->Name("copy_crc32c")->Arg(kCachedBytes)->Arg(kChunkBytes);

// Half of each row of a matrix: what a shard by columns is.
void run_copy_columns(benchmark::State& state) {
  constexpr Index kRowBytes = 2048;
  const Shape shape{state.range(0) / kRowBytes, kRowBytes / 2};
  const auto from = sample(kBf16, 2 * bytes_of(state));
  const ArrayView view(DType::bfloat16, shape, from.data(), {2 * kRowBytes, 2});
  const Memory to(bytes_of(state));
  while (state.KeepRunning()) {
    copy_region(view, Shape{0, 0}, shape, to.data());
    benchmark::ClobberMemory();
  }
  measure_bytes(state, Limit::memory);
}
BENCHMARK(run_copy_columns)->Name("copy_region.columns")->Arg(kCachedBytes)->Arg(kChunkBytes);

// A matrix in Fortran's order: no two elements of a row lie side by side.
void run_copy_transposed(benchmark::State& state) {
  const Index rows = state.range(0) == kCachedBytes ? 128 : 2048;
  const Shape shape{rows, state.range(0) / 2 / rows};
  const auto from = sample(kBf16, bytes_of(state));
  const ArrayView view(DType::bfloat16, shape, from.data(), {2, 2 * rows});
  const Memory to(bytes_of(state));
  while (state.KeepRunning()) {
    copy_region(view, Shape{0, 0}, shape, to.data());
    benchmark::ClobberMemory();
  }
  measure_bytes(state, Limit::core);
}
BENCHMARK(run_copy_transposed)->Name("copy_region.transposed")->Arg(kCachedBytes)->Arg(kChunkBytes);

void run_scatter_transposed(benchmark::State& state) {
  const Index rows = state.range(0) == kCachedBytes ? 128 : 2048;
  const Shape shape{rows, state.range(0) / 2 / rows};
  const Shape strides{2, 2 * rows};
  const auto from = sample(kBf16, bytes_of(state));
  const Memory to(bytes_of(state));
  while (state.KeepRunning()) {
    scatter_region(from.data(), DType::bfloat16, shape, to.data(), strides);
    benchmark::ClobberMemory();
  }
  measure_bytes(state, Limit::core);
}
BENCHMARK(run_scatter_transposed)
    ->Name("scatter_region.transposed")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);

}  // namespace
}  // namespace cairn::bench
