#pragma once
// What the workloads consist of: names, dtypes and shapes, without numbers.

#include <cairn/codecs/array.h>

#include <cstdint>
#include <string>
#include <vector>

#include "report/workloads.h"

namespace cairn::bench {

struct ArraySpec {
  std::string path;
  DType dtype;
  Shape shape;
  Numbers numbers = Numbers::weights;
  /// Arrays of one stream hold the same numbers, each in its dtype.
  std::uint64_t stream = 0;
};
using ArraySpecs = std::vector<ArraySpec>;

/// The parameters of Llama-3.1-8B, `bytes` of `parameter_bytes` each, in float32.
[[nodiscard]] ArraySpecs llama_parameters(std::uint64_t bytes, std::uint64_t parameter_bytes);
/// Of ResNet-50, in float32.
[[nodiscard]] ArraySpecs resnet_parameters();
/// See make_workload().
[[nodiscard]] ArraySpecs tiny_arrays(std::uint64_t seed);
[[nodiscard]] ArraySpecs odd_arrays(std::uint64_t bytes, std::uint64_t seed);
[[nodiscard]] ArraySpecs sparse_arrays(std::uint64_t bytes);

/// The specs once more under another name, in another dtype or with other numbers.
[[nodiscard]] ArraySpecs copied_to(const std::string& name, ArraySpecs specs, DType dtype);
[[nodiscard]] ArraySpecs moments(const std::string& name, ArraySpecs specs, Numbers numbers);

}  // namespace cairn::bench
