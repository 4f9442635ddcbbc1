#include "save_data.h"

#include <algorithm>
#include <bit>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "codec_data.h"

namespace cairn::bench {
namespace {

/// Drawn quickly, as a gigabyte is wanted: "bf16", "fp32" and "small" are about N(0, 0.02^2),
/// "noise" has no pattern at all.
constexpr std::string_view kDrawn[] = {"bf16", "fp32", "noise", "small"};
/// Short names of what codec_data.h makes.
constexpr std::pair<std::string_view, std::string_view> kGenerated[] = {
    {"fp16", "fp16 normal"},
    {"fp8", "fp8_e4m3 normal"},
    {"int32", "int32 token ids"},
    {"bool", "bool attention mask"},
};
/// Of generated data so much is made and given out again and again: it takes long. No multiple of
/// usual sizes of arrays, so that one array's content is not the next one's.
constexpr std::uint64_t kGeneratedBytesMax = std::uint64_t{63} << 20;

class Drawn {
 public:
  Drawn(std::string_view data, std::uint64_t seed)
      : half_(data == "bf16" || data == "small"),
        noise_(data == "noise"),
        random_(static_cast<std::mt19937::result_type>(seed)),
        table_(std::size_t{1} << 16) {
    // Drawn from at random: the same distribution at a tenth of the cost.
    std::normal_distribution<float> normal(0, 0.02f);
    for (std::uint32_t& bits : table_) bits = std::bit_cast<std::uint32_t>(normal(random_));
  }

  [[nodiscard]] DType dtype() const { return half_ ? DType::bfloat16 : DType::float32; }
  void fill(Array& array) {
    if (half_) {
      for (bfloat16_t& value : array.values<bfloat16_t>()) {
        const std::uint32_t bits = table_[random_() % table_.size()];
        value.bits = static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
      }
      return;
    }
    for (float& value : array.values<float>()) {
      const std::uint32_t bits = noise_ ? static_cast<std::uint32_t>(random_())
                                        : table_[random_() % table_.size()] ^ (random_() & 0xff);
      value = std::bit_cast<float>(bits);
    }
  }

 private:
  bool half_;
  bool noise_;
  std::mt19937 random_;
  std::vector<std::uint32_t> table_;
};

class Generated {
 public:
  Generated(const std::string& name, std::uint64_t bytes, std::uint64_t seed)
      : data_(generate(name, std::min(bytes, kGeneratedBytesMax), seed)) {}

  [[nodiscard]] DType dtype() const { return data_.dtype; }
  void fill(Array& array) {
    for (auto to = array.bytes(); !to.empty();) {
      const auto rest = std::span(data_.content).subspan(at_);
      const auto part = rest.first(std::min(rest.size(), to.size()));
      std::ranges::copy(part, to.begin());
      to = to.subspan(part.size());
      at_ = (at_ + part.size()) % data_.content.size();
    }
  }

 private:
  DataSet data_;
  std::size_t at_ = 0;
};

template <class From>
std::vector<Array> arrays_of(From from, std::uint64_t bytes, std::uint64_t array_bytes) {
  std::vector<Array> arrays;
  for (std::uint64_t done = 0; done < bytes; done += array_bytes) {
    const std::uint64_t part = std::min(array_bytes, bytes - done);
    const auto elements = static_cast<Index>(part / size_of(from.dtype()));
    Array array = Array::uninitialized(from.dtype(), {elements});
    from.fill(array);
    arrays.push_back(std::move(array));
  }
  return arrays;
}

}  // namespace

std::vector<std::string> save_data_names() {
  std::vector<std::string> names(std::begin(kDrawn), std::end(kDrawn));
  for (const auto& [name, full] : kGenerated) names.emplace_back(name);
  for (auto& name : data_names()) names.push_back(std::move(name));
  return names;
}

std::vector<Array> make_arrays(const std::string& data, std::uint64_t bytes,
                               std::uint64_t array_bytes, std::uint64_t seed) {
  if (array_bytes == 0) array_bytes = data == "small" ? kSmallArrayBytes : kArrayBytes;
  array_bytes -= array_bytes % size_of(DType::complex128);  // whole elements of any type
  if (std::ranges::find(kDrawn, data) != std::end(kDrawn)) {
    return arrays_of(Drawn(data, seed), bytes, array_bytes);
  }
  std::string name = data;
  for (const auto& [known, full] : kGenerated) {
    if (known == data) name = full;
  }
  return arrays_of(Generated(name, bytes, seed), bytes, array_bytes);
}

}  // namespace cairn::bench
