#pragma once
// Which tensors of open safetensors files are wanted, and their elements.

#include <cairn/codecs/tree.h>
#include <cairn/manager/internal/safetensors_input.h>
#include <cairn/manager/internal/selection.h>
#include <cairn/manager/safetensors.h>

#include <string>
#include <vector>

namespace cairn::internal {

/// A tensor, and which of its elements.
struct WantedTensor {
  WantedTensor(SafetensorsInputPtr i, std::size_t t, IndexRange b)
      : input(std::move(i)), tensor(t), box(std::move(b)) {}
  SafetensorsInputPtr input;
  std::size_t tensor;  ///< index into the header's
  IndexRange box;
  [[nodiscard]] const safetensors::TensorInfo& info() const {
    return input->header.tensors[tensor];
  }
};
/// Those of one file stand together, in its order.
using WantedTensors = std::vector<WantedTensor>;

/// By whole names, as read_safetensors() takes them; all where none are given. `path`: for
/// messages. Throws Error: not_found, invalid_argument.
[[nodiscard]] WantedTensors select_tensors(const std::vector<SafetensorsInputPtr>& inputs,
                                           const std::vector<SafetensorsSelection>& names,
                                           const std::string& path);
/// By names, or what dots make of them a path to, as read_tree() takes them; likewise.
[[nodiscard]] WantedTensors select_tensors(const std::vector<SafetensorsInputPtr>& inputs,
                                           const Selections& selections);

/// A dict of leaves that are read when somebody asks.
[[nodiscard]] Tree tensor_leaves(const WantedTensors& wanted);
/// A dict of arrays.
Task<Tree> read_wanted(WantedTensors wanted);

}  // namespace cairn::internal
