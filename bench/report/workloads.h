#pragma once
// The states that are saved and restored: seeded, never zeros.

#include <cairn/codecs/array.h>
#include <cairn/codecs/tree.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::bench {

/// What floats are like.
enum class Numbers : unsigned char {
  weights,        ///< N(0, 0.02^2)
  scales,         ///< of norms, near 1
  first_moment,   ///< Adam's: small, of both signs
  second_moment,  ///< likewise: small and positive
};

struct NamedArray {
  std::string path;  ///< keys with slashes between, "params/layers/0/attention/wq"
  Array array;
  Numbers numbers = Numbers::weights;
};
/// Owns the arrays; trees of them borrow.
struct Workload {
  std::string name;
  std::vector<NamedArray> arrays;
  [[nodiscard]] std::uint64_t bytes() const;
};

/// "llama": the 291 tensors of Llama-3.1-8B with one scale on their axes, so that bf16 weights,
///   their fp32 copy and Adam's two fp32 moments make about `bytes` together (14 bytes a
///   parameter);
/// "llama_bf16": of these the bf16 weights alone, about `bytes`;
/// "huge": one fp32 array; "tiny": 100,000 arrays of 16 B to 4 KiB (`bytes` is not asked);
/// "resnet": the 161 arrays of ResNet-50 and their momentum, 204 MB (`bytes` is not asked);
/// "odd": arrays of 1 to 4097 bytes more than a multiple of 4096, about `bytes`;
/// "sparse": embedding tables, of which update_rows() changes a part, about `bytes`.
/// std::invalid_argument for other names.
[[nodiscard]] Workload make_workload(std::string_view name, std::uint64_t bytes,
                                     std::uint64_t seed);
[[nodiscard]] std::vector<std::string> workload_names();
/// New numbers in so much of each array's rows (0 to 1; of one row at least), in at most 8 runs of
/// rows. What comes out depends on the seed: each update wants one of its own.
void update_rows(Workload& workload, double share, std::uint64_t seed);

/// A nested tree of views of the arrays, which live longer.
[[nodiscard]] Tree views_of(const Workload& workload);
/// The same, to be filled by a restore.
[[nodiscard]] Tree mutable_views_of(Workload& workload);
/// New arrays of the same shapes whose pages have been touched, with other content.
[[nodiscard]] Workload targets_for(const Workload& workload);
/// The first path whose bytes differ, or empty.
[[nodiscard]] std::string first_difference(const Workload& a, const Workload& b);

}  // namespace cairn::bench
