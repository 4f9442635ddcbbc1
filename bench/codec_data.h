#pragma once
// What checkpoints are made of, generated from one seed, or read from a safetensors file.

#include <cairn/codecs/dtype.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cairn::bench {

struct DataSet {
  std::string name;
  DType dtype = DType::uint8;
  std::vector<std::byte> content;
};

/// The names that generate() knows, in the order of the table.
[[nodiscard]] std::vector<std::string> data_names();
/// `bytes` is rounded down to whole elements.
[[nodiscard]] DataSet generate(const std::string& name, std::size_t bytes, std::uint64_t seed);

enum class HalfFloat { bfloat16, float16 };

/// One set for each dtype in the file: all its tensors, end to end. At most `bytes_max` each.
[[nodiscard]] std::vector<DataSet> read_weights(const std::string& path, std::size_t bytes_max);
/// A set of float32 elements in another type, rounded to nearest even; what is too large for
/// float16 becomes its largest number. Throws std::invalid_argument on elements of another type.
[[nodiscard]] DataSet narrowed(const DataSet& floats, HalfFloat type);

}  // namespace cairn::bench
