// F4's elements, two in a byte: each is its four bits, whatever run of them is asked for, and bytes
// that are no elements are not packed. An input is where the run begins and ends, a byte each, and
// then the packed bytes, or the elements.

#include <cairn/codecs/safetensors.h>
#include <fuzz/harness.h>

#include <algorithm>
#include <cstring>

namespace cairn::fuzz {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeadBytes = 2;
constexpr unsigned kBits = 4;
constexpr std::byte kElementMax{15};
constexpr std::byte kUntouched{0xA5};

void check_unpacking(const Bytes& packed, std::size_t begin, std::size_t end) {
  Bytes elements(end - begin + 1, kUntouched);
  safetensors::unpack_float4(packed.data(), begin, std::span(elements).first(end - begin));
  require(elements.back() == kUntouched, "nothing is written beyond the run");
  for (std::size_t i = begin; i < end; ++i) {
    const std::byte both = packed[i / 2];
    require(elements[i - begin] == (i % 2 == 0 ? both & kElementMax : both >> kBits),
            "an element is its four bits");
  }
}

void check_packing(Bytes elements) {
  elements.resize(elements.size() / 2 * 2);
  Bytes packed(elements.size() / 2);
  const auto foreign = safetensors::pack_float4(elements, packed.data());
  const auto first = std::ranges::find_if(elements, [](std::byte b) { return b > kElementMax; });
  if (first != elements.end()) {
    require(foreign == static_cast<std::size_t>(first - elements.begin()),
            "the first byte that is no element is named");
    return;
  }
  require(!foreign, "elements are packed");
  Bytes again(elements.size());
  safetensors::unpack_float4(packed.data(), 0, again);
  require(again == elements, "elements come back");
  // In place.
  require(!safetensors::pack_float4(elements, elements.data()), "elements are packed in place");
  elements.resize(packed.size());
  require(elements == packed, "to the same bytes");
}

void check(std::string_view input) {
  if (input.size() < kHeadBytes) return;
  const auto* head = reinterpret_cast<const std::uint8_t*>(input.data());
  Bytes bytes(input.size() - kHeadBytes);
  std::ranges::transform(input.substr(kHeadBytes), bytes.begin(),
                         [](char c) { return static_cast<std::byte>(c); });
  const std::size_t count = 2 * bytes.size();
  const std::size_t begin = std::min<std::size_t>(head[0], count);
  check_unpacking(bytes, begin, std::max(begin, count - std::min<std::size_t>(head[1], count)));
  check_packing(bytes);
  for (std::byte& byte : bytes) byte &= kElementMax;
  check_packing(bytes);
}

Seeds seeds(const TestData&) {
  constexpr int kSizeMax = 40;
  Seeds found;
  for (int size = 0; size <= kSizeMax; size += 3) {
    std::string bytes = {static_cast<char>(size % 7), static_cast<char>(size % 5)};
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(i * 37);
    found.push_back(bytes);
    // Elements, of which one may be none.
    for (int i = 0; i < size; ++i) bytes[kHeadBytes + static_cast<std::size_t>(i)] &= 15;
    found.push_back(bytes);
    if (size > 0) bytes.back() = 16;
    found.push_back(bytes);
  }
  return found;
}

const Registration registration({"safetensors_packing", check, nullptr, seeds});

}  // namespace
}  // namespace cairn::fuzz
