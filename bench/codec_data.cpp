#include "codec_data.h"

#include <cairn/codecs/safetensors.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>

#include "random.h"

namespace cairn::bench {
namespace {

// IEEE-like floats of other shapes, to nearest even, saturating.
template <class Bits>
Bits small_float_of(double value, int mantissa_bits, int exponent_min, unsigned bits_max) {
  const double magnitude = std::abs(value);
  if (magnitude == 0) return 0;  // the exponent of 0 is not the least
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, exponent_min);
  const double quanta = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));
  // A carry out of the mantissa runs into the exponent, as it should; subnormals have exponent 0.
  const auto bits = static_cast<unsigned>((exponent - exponent_min) << mantissa_bits) +
                    static_cast<unsigned>(quanta);
  const unsigned sign = value < 0 ? 1U << (8 * sizeof(Bits) - 1) : 0;
  return static_cast<Bits>(sign | std::min(bits, bits_max));
}
std::uint16_t float16_of(double value) {
  return small_float_of<std::uint16_t>(value, 10, -14, 0x7bff);
}
std::uint8_t float8_e4m3_of(double value) {
  return small_float_of<std::uint8_t>(value, 3, -6, 0x7e);
}
std::uint8_t float8_e5m2_of(double value) {
  return small_float_of<std::uint8_t>(value, 2, -14, 0x7b);
}

template <class T, class Make>
DataSet fill(DType dtype, std::size_t bytes, Make make) {
  DataSet data{"", dtype, std::vector<std::byte>(bytes / sizeof(T) * sizeof(T))};
  for (std::size_t i = 0; i < data.content.size() / sizeof(T); ++i) {
    const T value = make(i);
    std::memcpy(&data.content[i * sizeof(T)], &value, sizeof(T));
  }
  return data;
}

/// float8 weights are scaled so that the largest of a tensor uses the format's range.
constexpr double kFloat8E4m3Scale = 448 / 6.0, kFloat8E5m2Scale = 57'344 / 6.0;
constexpr double kVocabulary = 50'257;

double gradient(Random& random) {
  return kGradientScale * std::exp(kGradientSpread * random.normal()) * random.normal();
}

DataSet bfloats(std::size_t bytes, Random& random, double sigma) {
  return fill<std::uint16_t>(DType::bfloat16, bytes,
                             [&](auto) { return bfloat16_of(sigma * random.normal()); });
}

using Generate = std::function<DataSet(std::size_t bytes, Random& random)>;
const std::vector<std::pair<std::string, Generate>>& generators() {
  static const std::vector<std::pair<std::string, Generate>> all = {
      {"bf16 normal", [](auto bytes, auto& r) { return bfloats(bytes, r, kWeightSigma); }},
      {"bf16 normal sigma 0.5", [](auto bytes, auto& r) { return bfloats(bytes, r, 0.5); }},
      {"bf16 normal sigma 1", [](auto bytes, auto& r) { return bfloats(bytes, r, 1); }},
      {"fp16 normal",
       [](auto bytes, auto& r) {
         return fill<std::uint16_t>(DType::float16, bytes,
                                    [&](auto) { return float16_of(kWeightSigma * r.normal()); });
       }},
      {"fp32 normal",
       [](auto bytes, auto& r) {
         return fill<float>(DType::float32, bytes,
                            [&](auto) { return static_cast<float>(kWeightSigma * r.normal()); });
       }},
      {"fp8_e4m3 normal",
       [](auto bytes, auto& r) {
         return fill<std::uint8_t>(DType::float8_e4m3fn, bytes, [&](auto) {
           return float8_e4m3_of(kFloat8E4m3Scale * r.normal());
         });
       }},
      {"fp8_e5m2 normal",
       [](auto bytes, auto& r) {
         return fill<std::uint8_t>(DType::float8_e5m2, bytes, [&](auto) {
           return float8_e5m2_of(kFloat8E5m2Scale * r.normal());
         });
       }},
      {"fp32 adam first moment",
       [](auto bytes, auto& r) {
         const double share = first_moment_share();
         return fill<float>(DType::float32, bytes,
                            [&](auto) { return static_cast<float>(share * gradient(r)); });
       }},
      {"fp32 adam second moment",
       [](auto bytes, auto& r) {
         const double noise = second_moment_noise();
         return fill<float>(DType::float32, bytes, [&](auto) {
           const double scale = kGradientScale * std::exp(kGradientSpread * r.normal());
           return static_cast<float>(scale * scale * std::abs(1 + noise * r.normal()));
         });
       }},
      {"bf16 gradients",
       [](auto bytes, auto& r) {
         return fill<std::uint16_t>(DType::bfloat16, bytes,
                                    [&](auto) { return bfloat16_of(gradient(r)); });
       }},
      {"int32 token ids",
       [](auto bytes, auto& r) {
         // Zipf's law: the logarithm of a rank is about uniform.
         return fill<std::int32_t>(DType::int32, bytes, [&](auto) {
           return static_cast<std::int32_t>(std::pow(kVocabulary, r.uniform()) - 1);
         });
       }},
      {"int64 sorted indices",
       [](auto bytes, auto& r) {
         std::int64_t last = 0;
         return fill<std::int64_t>(DType::int64, bytes, [&](auto) {
           return last += static_cast<std::int64_t>(r.next() % 64);
         });
       }},
      {"int64 positions",
       [](auto bytes, auto&) {
         return fill<std::int64_t>(DType::int64, bytes,
                                   [](auto i) { return static_cast<std::int64_t>(i); });
       }},
      {"int32 labels, sorted",
       [](auto bytes, auto& r) {
         std::int32_t label = 0;
         return fill<std::int32_t>(DType::int32, bytes,
                                   [&](auto) { return label += r.next() % 500 == 0; });
       }},
      {"int8 quantized weights",
       [](auto bytes, auto& r) {
         return fill<std::int8_t>(DType::int8, bytes, [&](auto) {
           return static_cast<std::int8_t>(
               std::clamp(std::nearbyint(32 * r.normal()), -127., 127.));
         });
       }},
      {"bool attention mask",
       [](auto bytes, auto& r) {
         // Sequences of 1024 tokens at most, padded.
         std::uint64_t length = 0;
         return fill<std::uint8_t>(DType::boolean, bytes, [&](auto i) {
           constexpr std::uint64_t kRow = 1024;
           if (i % kRow == 0) length = r.next() % kRow;
           return static_cast<std::uint8_t>(i % kRow < length ? 1 : 0);
         });
       }},
      {"int32 counts, most 0",
       [](auto bytes, auto& r) {
         return fill<std::int32_t>(DType::int32, bytes, [&](auto) {
           return r.next() % 16 == 0 ? static_cast<std::int32_t>(r.next() % 1000) : 0;
         });
       }},
      {"bool mask, 1 in 100",
       [](auto bytes, auto& r) {
         return fill<std::uint8_t>(DType::boolean, bytes, [&](auto) {
           return static_cast<std::uint8_t>(r.next() % 100 == 0 ? 1 : 0);
         });
       }},
      {"bool mask, 1 in 30",
       [](auto bytes, auto& r) {
         return fill<std::uint8_t>(DType::boolean, bytes, [&](auto) {
           return static_cast<std::uint8_t>(r.next() % 30 == 0 ? 1 : 0);
         });
       }},
      {"bool pruning mask",
       [](auto bytes, auto& r) {
         return fill<std::uint8_t>(DType::boolean, bytes, [&](auto) {
           return static_cast<std::uint8_t>(r.next() % 10 == 0 ? 1 : 0);
         });
       }},
  };
  return all;
}

}  // namespace

std::vector<std::string> data_names() {
  std::vector<std::string> names;
  for (const auto& [name, generator] : generators()) names.push_back(name);
  return names;
}

DataSet generate(const std::string& name, std::size_t bytes, std::uint64_t seed) {
  for (const auto& [known, generator] : generators()) {
    if (known != name) continue;
    Random random(seed);
    DataSet data = generator(bytes, random);
    data.name = name;
    return data;
  }
  throw std::invalid_argument("no data named '" + name + "'");
}

DataSet narrowed(const DataSet& floats, HalfFloat type) {
  if (floats.dtype != DType::float32) {
    throw std::invalid_argument(floats.name + " are no 32-bit floats, which alone are narrowed");
  }
  const bool brain = type == HalfFloat::bfloat16;
  const DType dtype = brain ? DType::bfloat16 : DType::float16;
  DataSet data =
      fill<std::uint16_t>(dtype, floats.content.size() / 2, [&](std::size_t i) -> std::uint16_t {
        float value = 0;
        std::memcpy(&value, &floats.content[i * sizeof(float)], sizeof(float));
        // What is no number, or infinite, keeps its kind.
        const unsigned sign = std::signbit(value) ? 0x8000U : 0;
        if (!std::isfinite(value)) {
          const unsigned special = brain ? 0x7f80 : 0x7c00;
          return static_cast<std::uint16_t>(sign | special | (std::isnan(value) ? 0x40 : 0));
        }
        return brain ? bfloat16_of(value) : float16_of(value);
      });
  data.name = floats.name + (brain ? " as bf16" : " as fp16");
  return data;
}

std::vector<DataSet> read_weights(const std::string& path, std::size_t bytes_max) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error("cannot open " + path);
  const auto file_bytes = static_cast<std::uint64_t>(file.tellg());
  const auto read = [&](std::uint64_t at, void* to, std::uint64_t bytes) {
    file.seekg(static_cast<std::streamoff>(at));
    file.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
    if (!file) throw std::runtime_error("cannot read " + path);
  };
  std::string length(8, '\0');
  read(0, length.data(), std::min<std::uint64_t>(length.size(), file_bytes));
  std::string json(safetensors::decode_header_length(length, file_bytes), '\0');
  read(length.size(), json.data(), json.size());
  const auto header = safetensors::decode_header(json, file_bytes);
  std::map<DType, DataSet> sets;
  for (const auto& tensor : header.tensors) {
    auto& set = sets[tensor.dtype];
    set.name = std::string(name_of(tensor.dtype)) + " weights";
    set.dtype = tensor.dtype;
    const auto before = set.content.size();
    const auto packing = safetensors::packing_of(tensor.dtype);
    const auto bytes =
        std::min<std::uint64_t>(tensor.end - tensor.begin, (bytes_max - before) / packing);
    set.content.resize(before + bytes * packing);
    auto* const to = set.content.data() + before;
    read(header.data_offset + tensor.begin, to, bytes);
    if (packing == 1) continue;
    const std::vector<std::byte> packed(to, to + bytes);
    safetensors::unpack_float4(packed.data(), 0, std::span(to, bytes * packing));
  }
  std::vector<DataSet> result;
  for (auto& [dtype, set] : sets) {
    if (!set.content.empty()) result.push_back(std::move(set));
  }
  return result;
}

}  // namespace cairn::bench
