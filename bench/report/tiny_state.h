#pragma once
// A state of very many leaves of one small size, in a tree of two levels.

#include <cairn/codecs/tree.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cairn::bench {

/// Owns the elements; trees borrow them.
class TinyState {
 public:
  static constexpr std::size_t kLeafFloats = 16;
  static constexpr std::size_t kLeafBytes = kLeafFloats * sizeof(float);

  TinyState(std::size_t leaves, std::uint64_t seed);
  /// The first so many leaves.
  [[nodiscard]] Tree views(std::size_t leaves) const;
  /// "block_12/leaf_345".
  [[nodiscard]] static std::string path_of(std::size_t leaf);
  /// Whether `tree` holds this leaf as it is here.
  [[nodiscard]] bool has(const Tree& tree, std::size_t leaf) const;

 private:
  [[nodiscard]] ArrayView view(std::size_t leaf) const;
  std::vector<float> values_;
};

}  // namespace cairn::bench
