#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/internal/copy_crc32c.h>
#include <isa-l/crc.h>

#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cairn {
namespace {

// A block is read once from memory: the checksum leaves it in the first-level cache, and the copy
// finds it there. The next one comes in meanwhile; with 48 KiB of cache blocks of 8 and 32 KiB were
// slower.
constexpr std::size_t kCopyBlock = std::size_t{16} << 10;
// Below this the copy is likely to be read again soon, so it may stay in the cache.
constexpr std::size_t kStreamFrom = std::size_t{256} << 10;
static_assert(kStreamFrom > kCopyBlock);

using internal::Stream;

#if defined(__x86_64__)

constexpr std::size_t kLine = 64;
static_assert(kCopyBlock % kLine == 0);

// Where line `index` of the block to be read next is asked for: its four parts take turns. The
// processor reads ahead by itself within a page of 4 KiB alone, and so it does in four at once.
constexpr std::size_t kReadParts = 4;
constexpr std::size_t place_to_read(std::size_t index) {
  constexpr std::size_t kPart = kCopyBlock / kReadParts;
  return index % kReadParts * kPart + index / kReadParts * kLine;
}
static_assert(place_to_read(kCopyBlock / kLine - 1) == kCopyBlock - kLine);

// Memory answers reads while it takes writes: as each line of this block goes out, one of the next
// is asked for, where there is a next.
inline void read_ahead(const std::byte* next, std::size_t at) {
  if (next != nullptr) _mm_prefetch(next + place_to_read(at / kLine), _MM_HINT_T0);
}

// `to` is aligned to a cache line and `bytes` is a multiple of one: whole lines go out, so that no
// line is ever read back to be merged.
__attribute__((target("avx512f"))) void stream_avx512(std::byte* to, const std::byte* from,
                                                      std::size_t bytes, const std::byte* next) {
  for (std::size_t i = 0; i < bytes; i += kLine) {
    read_ahead(next, i);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_loadu_si512(from + i));
  }
}

__attribute__((target("avx"))) void stream_avx(std::byte* to, const std::byte* from,
                                               std::size_t bytes, const std::byte* next) {
  for (std::size_t i = 0; i < bytes; i += kLine) {
    read_ahead(next, i);
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i + 32));
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i), low);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i + 32), high);
  }
}

std::uint32_t stream_crc32c(std::span<const std::byte> from, std::byte* to, std::uint32_t seed,
                            Stream stream) noexcept {
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(to) % kLine;
  std::size_t done = misaligned == 0 ? 0 : kLine - misaligned;
  std::uint32_t crc = crc32c(from.first(done), seed);
  std::memcpy(to, from.data(), done);
  while (from.size() - done >= kLine) {
    const std::size_t block = std::min(kCopyBlock, (from.size() - done) / kLine * kLine);
    crc = crc32c(from.subspan(done, block), crc);
    const bool more = from.size() - done >= 2 * kCopyBlock;
    const std::byte* next = more ? from.data() + done + kCopyBlock : nullptr;
    stream(to + done, from.data() + done, block, next);
    done += block;
  }
  crc = crc32c(from.subspan(done), crc);
  std::memcpy(to + done, from.data() + done, from.size() - done);
  // Non-temporal stores are weakly ordered: without the fence a thread that learns of the copy
  // through an ordinary release store could read old bytes.
  _mm_sfence();
  return crc;
}

#endif

std::uint32_t plain_crc32c(std::span<const std::byte> from, std::byte* to,
                           std::uint32_t seed) noexcept {
  std::uint32_t crc = seed;
  while (!from.empty()) {
    const auto block = from.first(std::min(from.size(), kCopyBlock));
    crc = crc32c(block, crc);
    std::memcpy(to, block.data(), block.size());
    to += block.size();
    from = from.subspan(block.size());
  }
  return crc;
}

}  // namespace

std::vector<Stream> internal::usable_streams() {
  std::vector<Stream> streams = {nullptr};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx")) streams.push_back(stream_avx);
  if (__builtin_cpu_supports("avx512f")) streams.push_back(stream_avx512);
#endif
  return streams;
}

std::uint32_t internal::copy_crc32c_with(Stream stream, std::span<const std::byte> from,
                                         std::byte* to, std::uint32_t seed) noexcept {
#if defined(__x86_64__)
  if (stream != nullptr && from.size() >= kStreamFrom) {
    return stream_crc32c(from, to, seed, stream);
  }
#endif
  return plain_crc32c(from, to, seed);
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed) noexcept {
  // ISA-L takes an int length: feed it at most 1 GiB at a time. It neither inverts before nor
  // after.
  constexpr std::size_t kMost = std::size_t{1} << 30;
  std::uint32_t crc = ~seed;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kMost));
    // ISA-L's prototype lacks const; it only reads.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(part.data()));
    crc = crc32_iscsi(data, static_cast<int>(part.size()), crc);
    bytes = bytes.subspan(part.size());
  }
  return ~crc;
}

std::uint32_t copy_crc32c(std::span<const std::byte> from, std::byte* to,
                          std::uint32_t seed) noexcept {
  static const Stream fastest = internal::usable_streams().back();
  return internal::copy_crc32c_with(fastest, from, to, seed);
}

}  // namespace cairn
