#include "support/weights.h"

#include <bit>
#include <cstddef>
#include <random>
#include <utility>
#include <vector>

namespace cairn::test {

Array normal_bfloat16(Shape shape, std::uint64_t seed) {
  Array array = Array::uninitialized(DType::bfloat16, std::move(shape));
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  // A table of so many numbers, drawn from at random: their distribution, at a tenth of the cost.
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<std::uint16_t> table(1u << 14);
  for (std::uint16_t& value : table) {
    const auto bits = std::bit_cast<std::uint32_t>(normal(random));
    value = static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
  for (bfloat16_t& value : array.values<bfloat16_t>()) {
    value.bits = table[random() % table.size()];
  }
  return array;
}

Array normal_float32(Shape shape, std::uint64_t seed) {
  Array array = Array::uninitialized(DType::float32, std::move(shape));
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  std::normal_distribution<float> normal(0, 1);
  for (float& value : array.values<float>()) value = normal(random);
  return array;
}

Array bytes_of_every_kind(DType dtype, Shape shape, std::uint64_t seed) {
  Array array = Array::uninitialized(dtype, std::move(shape));
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  for (std::byte& byte : array.bytes()) {
    const unsigned raw = random() % 3 == 0 ? static_cast<unsigned>(random() & 0xff) : 0x3e;
    switch (dtype) {
      case DType::boolean:
        byte = static_cast<std::byte>(raw & 1);
        break;
      case DType::int2:
        byte = static_cast<std::byte>(((raw & 3) ^ 2) - 2);
        break;
      case DType::int4:
        byte = static_cast<std::byte>(((raw & 15) ^ 8) - 8);
        break;
      case DType::float4_e2m1fn:
        byte = static_cast<std::byte>(raw & 15);
        break;
      default:
        byte = static_cast<std::byte>(raw);
    }
  }
  return array;
}

}  // namespace cairn::test
