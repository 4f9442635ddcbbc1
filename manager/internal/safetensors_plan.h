#pragma once
// Which tensor goes where: a tree becomes the bytes of one or several safetensors files. Pure; runs
// on the CPU pool.

#include <cairn/codecs/safetensors.h>
#include <cairn/manager/safetensors.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cairn::internal {

/// A tensor with its elements: in memory, or a leaf's.
struct PlannedTensor {
  PlannedTensor() = default;
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  std::optional<ArrayView> memory;
  const Leaf* leaf = nullptr;  ///< borrowed from the tree
  std::uint64_t packing = 1;   ///< elements that share a byte of the file
  std::uint64_t bytes = 0;     ///< in the file
  std::uint64_t begin = 0;     ///< from the start of the file
};

struct PlannedFile {
  PlannedFile() = default;
  std::string start;                   ///< length and header
  std::vector<PlannedTensor> tensors;  ///< in file order
  std::uint64_t data_bytes = 0;
  std::uint64_t size = 0;  ///< of the file
};

/// A run of bytes of a tensor that lies in a range of its file.
struct PlannedPiece {
  PlannedPiece(const PlannedTensor* t, std::uint64_t f, std::uint64_t l, std::uint64_t a)
      : tensor(t), first(f), last(l), at(a) {}
  const PlannedTensor* tensor;
  std::uint64_t first;  ///< bytes of the tensor in the file: [first, last)
  std::uint64_t last;
  std::uint64_t at;  ///< from the start of the range
};

/// At least one file. The result points into `tree`. Throws Error as write_safetensors() says.
[[nodiscard]] std::vector<PlannedFile> plan_safetensors(const Tree& tree,
                                                        const SafetensorsWriteOptions& options);

/// What of the file's tensors lies in its bytes [begin, end).
[[nodiscard]] std::vector<PlannedPiece> pieces_of(const PlannedFile& file, std::uint64_t begin,
                                                  std::uint64_t end);

}  // namespace cairn::internal
