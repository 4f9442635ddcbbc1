#include "micro/samples.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <stdexcept>

#include "codec_data.h"

namespace cairn::bench {
namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
constexpr std::size_t kSampleBytesMax = 2 * static_cast<std::size_t>(kChunkBytes);

std::string copy_of(std::int64_t bytes) {
  return std::string(kCopyName) + "/" + std::to_string(bytes);
}

}  // namespace

Memory::Memory(std::size_t bytes) : bytes_(bytes) {
  const std::size_t whole = (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* const memory = std::aligned_alloc(kHugePageBytes, whole);
  if (memory == nullptr) throw std::bad_alloc();
  // Refused where the machine has none: then pages are small.
  static_cast<void>(::madvise(memory, whole, MADV_HUGEPAGE));
  std::memset(memory, 0xA5, whole);
  data_.reset(static_cast<std::byte*>(memory));
}

void Memory::Free::operator()(std::byte* data) const noexcept {
  std::free(data);
}

std::span<const std::byte> sample(const std::string& name, std::size_t bytes) {
  if (bytes > kSampleBytesMax) throw std::logic_error("a sample has two chunks at most");
  static std::map<std::string, Memory> samples;
  auto found = samples.find(name);
  if (found == samples.end()) {
    const DataSet data = generate(name, kSampleBytesMax, kSampleSeed);
    found = samples.emplace(name, Memory(kSampleBytesMax)).first;
    std::memcpy(found->second.data(), data.content.data(), data.content.size());
  }
  return found->second.span().first(bytes);
}

std::span<const std::byte> exponents(std::size_t bytes) {
  static const Memory plane = [] {
    const auto weights = sample(kBf16, kSampleBytesMax);
    Memory high(weights.size() / 2);
    for (std::size_t i = 0; i < weights.size() / 2; ++i) high.data()[i] = weights[2 * i + 1];
    return high;
  }();
  return plane.span().first(bytes);
}

void measure_bytes(benchmark::State& state, Limit limit) {
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.SetLabel(copy_of(limit == Limit::core ? kCachedBytes : state.range(0)));
}

void measure_items(benchmark::State& state, std::size_t items) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(items));
  state.SetLabel(copy_of(kCachedBytes));
}

void measure_hops(benchmark::State& state) {
  measure_items(state, 1);
  // Real time, as most of it is waiting.
  std::string label(kRoundTripName);
  state.SetLabel(label.append("/real_time"));
}

}  // namespace cairn::bench
