// The entropy coder, stage by stage: planes, their statistics, codes, frames; and all of it.

#include <cairn/codecs/blosc.h>
#include <cairn/codecs/internal/byte_shuffle.h>
#include <cairn/codecs/internal/huffman_decode.h>
#include <cairn/codecs/internal/literals_frame.h>
#include <cairn/codecs/internal/plane_coder.h>
#include <cairn/codecs/internal/plane_statistics.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "micro/samples.h"

namespace cairn::bench {
namespace {

using blosc::internal::count_symbols;
using blosc::internal::decode_four_streams;
using blosc::internal::decode_literals_frame;
using blosc::internal::DecodeTable;
using blosc::internal::encode_literals_frame;
using blosc::internal::encode_stream_portable;
using blosc::internal::EncodeStream;
using blosc::internal::HuffmanCode;
using blosc::internal::kCodeBitsMax;
using blosc::internal::kFrameSlack;
using blosc::internal::kStreamSlack;
using blosc::internal::kZstdBlockBytes;
using blosc::internal::make_code;
using blosc::internal::plane_encoder;
using blosc::internal::PlaneCode;
using blosc::internal::seems_compressible;
using blosc::internal::shuffle;
using blosc::internal::unshuffle;

/// A plane of a block of bf16, as encode_planes() has them.
constexpr std::int64_t kPlaneBytes = std::int64_t{256} << 10;
/// A block of a frame has four streams, behind the sizes of the first three.
constexpr std::size_t kStreams = 4;
constexpr std::size_t kStreamBytes = kZstdBlockBytes / kStreams;
constexpr std::size_t kSizesBytes = 6;

std::size_t content_bytes(const benchmark::State& state) {
  return static_cast<std::size_t>(state.range(0));
}

EncodeStream best_encoder() {
#if defined(__x86_64__)
  if (blosc::has_avx512_coder()) return blosc::internal::encode_stream_avx512;
#endif
  return encode_stream_portable;
}

// ---- planes ------------------------------------------------------------------------------------

std::vector<std::byte*> planes_in(const Memory& memory, std::size_t typesize) {
  std::vector<std::byte*> planes;
  const auto elements = memory.span().size() / typesize;
  for (std::size_t j = 0; j < typesize; ++j) planes.push_back(memory.data() + j * elements);
  return planes;
}

void run_shuffle(benchmark::State& state, const char* data, std::size_t typesize) {
  const auto from = sample(data, content_bytes(state));
  const Memory to(from.size());
  const auto planes = planes_in(to, typesize);
  while (state.KeepRunning()) {
    shuffle(from.data(), from.size() / typesize, typesize, planes.data());
    benchmark::ClobberMemory();
  }
  measure_bytes(state, Limit::memory);
}
BENCHMARK_CAPTURE(run_shuffle, bf16, kBf16, 2)
    ->Name("shuffle.2")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);
BENCHMARK_CAPTURE(run_shuffle, fp32, kFp32, 4)
    ->Name("shuffle.4")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);

void run_unshuffle(benchmark::State& state, const char* data, std::size_t typesize) {
  const auto content = sample(data, content_bytes(state));
  const Memory shuffled(content.size());
  const Memory to(content.size());
  const auto planes = planes_in(shuffled, typesize);
  const auto elements = content.size() / typesize;
  shuffle(content.data(), elements, typesize, planes.data());
  while (state.KeepRunning()) {
    unshuffle(planes.data(), elements, typesize, to.data());
    benchmark::ClobberMemory();
  }
  if (std::memcmp(to.data(), content.data(), content.size()) != 0) {
    state.SkipWithError("other elements came back");
  }
  measure_bytes(state, Limit::memory);
}
BENCHMARK_CAPTURE(run_unshuffle, bf16, kBf16, 2)
    ->Name("unshuffle.2")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);
BENCHMARK_CAPTURE(run_unshuffle, fp32, kFp32, 4)
    ->Name("unshuffle.4")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);

// ---- statistics --------------------------------------------------------------------------------

// A sample of a plane: whether coding it would pay.
void run_seems_compressible(benchmark::State& state) {
  const auto plane = exponents(static_cast<std::size_t>(kPlaneBytes));
  while (state.KeepRunning()) benchmark::DoNotOptimize(seems_compressible(plane));
  measure_items(state, 1);
}
BENCHMARK(run_seems_compressible)->Name("plane.seems_compressible");

void run_estimate_ratio(benchmark::State& state) {
  const auto content = sample(kBf16, static_cast<std::size_t>(kChunkBytes));
  while (state.KeepRunning()) benchmark::DoNotOptimize(blosc::estimate_ratio(content, 2));
  measure_items(state, 1);
}
BENCHMARK(run_estimate_ratio)->Name("plane.estimate_ratio");

void run_count_symbols(benchmark::State& state) {
  const auto plane = exponents(content_bytes(state));
  while (state.KeepRunning()) benchmark::DoNotOptimize(count_symbols(plane));
  measure_bytes(state, Limit::core);
}
BENCHMARK(run_count_symbols)->Name("plane.count_symbols")->Arg(kCachedBytes)->Arg(kChunkBytes);

void run_make_code(benchmark::State& state) {
  const auto histogram = count_symbols(exponents(kZstdBlockBytes));
  while (state.KeepRunning()) benchmark::DoNotOptimize(make_code(histogram));
  measure_items(state, 1);
}
BENCHMARK(run_make_code)->Name("huffman.make_code");

// ---- codes -------------------------------------------------------------------------------------

/// The streams of a block of a plane and the sizes of the first three, as a frame has them.
struct CodedBlock {
  std::size_t content_bytes = 0;
  std::vector<std::byte> bytes;
};

CodedBlock code_block(EncodeStream encode, const HuffmanCode& code,
                      std::span<const std::byte> block) {
  CodedBlock coded;
  coded.content_bytes = block.size();
  coded.bytes.resize(kSizesBytes + block.size() * kCodeBitsMax / 8 + kStreams * kStreamSlack);
  const auto part_bytes = (block.size() + kStreams - 1) / kStreams;
  std::size_t at = kSizesBytes;
  for (std::size_t i = 0; i < kStreams; ++i) {
    const auto part =
        block.subspan(i * part_bytes).first(std::min(part_bytes, block.size() - i * part_bytes));
    const auto size = static_cast<std::uint16_t>(encode(code, part, coded.bytes.data() + at));
    if (i + 1 < kStreams) std::memcpy(coded.bytes.data() + 2 * i, &size, sizeof(size));
    at += size;
  }
  coded.bytes.resize(at);
  return coded;
}

void run_huffman_encode(benchmark::State& state) {
  const auto plane = exponents(content_bytes(state));
  const auto code = make_code(count_symbols(plane));
  const auto encode = best_encoder();
  const Memory to(kStreamBytes * kCodeBitsMax / 8 + kStreamSlack);
  while (state.KeepRunning()) {
    for (std::size_t at = 0; at < plane.size(); at += kStreamBytes) {
      const auto part = plane.subspan(at, std::min(kStreamBytes, plane.size() - at));
      benchmark::DoNotOptimize(encode(code, part, to.data()));
    }
  }
  measure_bytes(state, Limit::core);
}
BENCHMARK(run_huffman_encode)->Name("huffman.encode")->Arg(kCachedBytes)->Arg(kChunkBytes);

void run_huffman_decode(benchmark::State& state) {
  const auto plane = exponents(content_bytes(state));
  const auto code = make_code(count_symbols(plane));
  std::vector<CodedBlock> blocks;
  for (std::size_t at = 0; at < plane.size(); at += kZstdBlockBytes) {
    const auto block = plane.subspan(at, std::min(kZstdBlockBytes, plane.size() - at));
    blocks.push_back(code_block(best_encoder(), code, block));
  }
  const auto table = std::make_unique<DecodeTable>();
  table->build(code);
  const Memory to(plane.size());
  bool good = true;
  while (state.KeepRunning()) {
    auto room = to.span();
    for (const auto& block : blocks) {
      good = decode_four_streams(*table, block.bytes, room.first(block.content_bytes)) && good;
      room = room.subspan(block.content_bytes);
    }
    benchmark::ClobberMemory();
  }
  if (!good || std::memcmp(to.data(), plane.data(), plane.size()) != 0) {
    state.SkipWithError("other bytes came back");
  }
  measure_bytes(state, Limit::core);
}
BENCHMARK(run_huffman_decode)->Name("huffman.decode")->Arg(kCachedBytes)->Arg(kChunkBytes);

// ---- frames ------------------------------------------------------------------------------------

void run_literals_encode(benchmark::State& state) {
  const auto plane = exponents(content_bytes(state));
  const auto encode = plane_encoder(blosc::PlaneCoder::automatic);
  const Memory to(plane.size() + kFrameSlack);
  PlaneCode before;
  while (state.KeepRunning()) {
    benchmark::DoNotOptimize(encode(plane, 0, before, to.data(), plane.size()));
  }
  measure_bytes(state, Limit::core);
}
BENCHMARK(run_literals_encode)->Name("literals_frame.encode")->Arg(kPlaneBytes);

void run_literals_decode(benchmark::State& state) {
  const auto plane = exponents(content_bytes(state));
  std::vector<std::byte> frame(plane.size() + kFrameSlack);
  PlaneCode before;
  frame.resize(encode_literals_frame(plane, 0, best_encoder(), before, frame.data(), plane.size()));
  const Memory to(plane.size());
  bool good = true;
  while (state.KeepRunning()) {
    good = decode_literals_frame(frame, to.span()) && good;
    benchmark::ClobberMemory();
  }
  if (!good) state.SkipWithError("the frame was not decoded");
  measure_bytes(state, Limit::core);
}
BENCHMARK(run_literals_decode)->Name("literals_frame.decode")->Arg(kPlaneBytes);

void run_encode_planes(benchmark::State& state, const char* data, std::size_t typesize) {
  const auto content = sample(data, content_bytes(state));
  const Memory to(blosc::frame_bound(content.size()));
  std::size_t frame_bytes = 0;
  while (state.KeepRunning()) {
    frame_bytes = blosc::encode_planes(content, typesize, to.span());
    benchmark::ClobberMemory();
  }
  state.counters["ratio"] = static_cast<double>(content.size()) /
                            static_cast<double>(std::max<std::size_t>(frame_bytes, 1));
  measure_bytes(state, Limit::core);
}
BENCHMARK_CAPTURE(run_encode_planes, bf16, kBf16, 2)
    ->Name("planes.encode.bf16")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);
BENCHMARK_CAPTURE(run_encode_planes, fp32, kFp32, 4)
    ->Name("planes.encode.fp32")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);

void run_decode_planes(benchmark::State& state, const char* data, std::size_t typesize) {
  const auto content = sample(data, content_bytes(state));
  std::vector<std::byte> frame(blosc::frame_bound(content.size()));
  frame.resize(blosc::encode_planes(content, typesize, frame));
  const Memory to(content.size());
  while (state.KeepRunning()) {
    blosc::decode(frame, to.span());
    benchmark::ClobberMemory();
  }
  if (std::memcmp(to.data(), content.data(), content.size()) != 0) {
    state.SkipWithError("other bytes came back");
  }
  measure_bytes(state, Limit::core);
}
BENCHMARK_CAPTURE(run_decode_planes, bf16, kBf16, 2)
    ->Name("planes.decode.bf16")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);
BENCHMARK_CAPTURE(run_decode_planes, fp32, kFp32, 4)
    ->Name("planes.decode.fp32")
    ->Arg(kCachedBytes)
    ->Arg(kChunkBytes);

}  // namespace
}  // namespace cairn::bench
