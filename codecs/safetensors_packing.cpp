// F4's elements: two in a byte of the file, one in a byte of memory. Eight at a time, by shifts
// that move every second nibble, byte and pair of bytes to or from its neighbour.

#include <cairn/codecs/safetensors.h>

#include <bit>
#include <cassert>
#include <cstring>

namespace cairn::safetensors {
namespace {

static_assert(std::endian::native == std::endian::little, "a word's low byte is the first element");
constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::uint64_t kPairs = 0x0000'ffff'0000'ffff;
constexpr std::uint64_t kBytes = 0x00ff'00ff'00ff'00ff;
constexpr std::uint64_t kNibbles = 0x0f0f'0f0f'0f0f'0f0f;

std::uint64_t spread(std::uint32_t packed) noexcept {
  std::uint64_t word = packed;
  word = (word | word << 16) & kPairs;
  word = (word | word << 8) & kBytes;
  return (word | word << 4) & kNibbles;
}

std::uint32_t gather(std::uint64_t word) noexcept {
  word = (word | word >> 4) & kBytes;
  word = (word | word >> 8) & kPairs;
  return static_cast<std::uint32_t>(word | word >> 16);
}

constexpr std::byte kNibble{0x0f};

}  // namespace

std::uint64_t packing_of(DType dtype) noexcept {
  return dtype == DType::float4_e2m1fn ? 2 : 1;
}

void unpack_float4(const std::byte* packed, std::size_t first,
                   std::span<std::byte> elements) noexcept {
  packed += first / 2;
  std::byte* to = elements.data();
  std::byte* const end = to + elements.size();
  if (first % 2 != 0 && to != end) *to++ = *packed++ >> 4;
  for (; static_cast<std::size_t>(end - to) >= kWord; to += kWord, packed += kWord / 2) {
    std::uint32_t half = 0;
    std::memcpy(&half, packed, sizeof(half));
    const std::uint64_t word = spread(half);
    std::memcpy(to, &word, kWord);
  }
  for (; to != end; ++packed) {
    *to++ = *packed & kNibble;
    if (to != end) *to++ = *packed >> 4;
  }
}

std::optional<std::size_t> pack_float4(std::span<const std::byte> elements,
                                       std::byte* packed) noexcept {
  assert(elements.size() % 2 == 0);
  std::size_t i = 0;
  for (; elements.size() - i >= kWord; i += kWord) {
    std::uint64_t word = 0;
    std::memcpy(&word, elements.data() + i, kWord);
    if (const std::uint64_t foreign = word & ~kNibbles; foreign != 0) {
      return i + static_cast<std::size_t>(std::countr_zero(foreign)) / 8;
    }
    const std::uint32_t half = gather(word);
    std::memcpy(packed + i / 2, &half, sizeof(half));
  }
  for (; i < elements.size(); i += 2) {
    const std::byte low = elements[i];
    const std::byte high = elements[i + 1];
    if (low > kNibble) return i;
    if (high > kNibble) return i + 1;
    packed[i / 2] = low | high << 4;
  }
  return std::nullopt;
}

}  // namespace cairn::safetensors
