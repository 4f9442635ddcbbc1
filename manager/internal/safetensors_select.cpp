#include <cairn/manager/internal/safetensors_reader.h>
#include <cairn/manager/internal/safetensors_select.h>

#include <unordered_map>
#include <unordered_set>

namespace cairn::internal {
namespace {

constexpr std::size_t kNamesListedMax = 10;

std::string to_text(const Shape& shape) {
  std::string text = "[";
  for (std::size_t d = 0; d < shape.size(); ++d) {
    text += (d == 0 ? "" : ", ") + std::to_string(shape[d]);
  }
  return text + "]";
}

Error invalid(const std::string& path, const std::string& tensor, std::string reason) {
  ErrorContext context;
  context.path = path;
  context.key_path = tensor;
  return Error(ErrorCode::invalid_argument, std::move(reason), context);
}

void check_box(const std::string& path, const safetensors::TensorInfo& info,
               const IndexRange& range) {
  const std::size_t rank = info.shape.size();
  bool inside = range.origin.size() == rank && range.shape.size() == rank;
  for (std::size_t d = 0; inside && d < rank; ++d) {
    inside = range.origin[d] >= 0 && range.shape[d] >= 0 && range.origin[d] <= info.shape[d] &&
             range.shape[d] <= info.shape[d] - range.origin[d];
  }
  if (inside) return;
  throw invalid(path, info.name,
                "a range from " + to_text(range.origin) + " of shape " + to_text(range.shape) +
                    " does not lie within shape " + to_text(info.shape));
}

[[noreturn]] void not_there(const std::string& name, const std::vector<SafetensorsInputPtr>& inputs,
                            const std::string& path) {
  std::string listed;
  std::size_t count = 0;
  for (const SafetensorsInputPtr& input : inputs) {
    for (const auto& tensor : input->header.tensors) {
      if (count++ < kNamesListedMax) listed += (listed.empty() ? "" : ", ") + tensor.name;
    }
  }
  if (count > kNamesListedMax) listed += ", ... (" + std::to_string(count) + " in all)";
  ErrorContext context;
  context.path = path;
  throw Error(ErrorCode::not_found, "there is no tensor \"" + name + "\"; tensors: " + listed,
              context);
}

using ByName = std::unordered_map<std::string, const SafetensorsSelection*>;

ByName index_selection(const std::vector<SafetensorsSelection>& tensors, const std::string& path) {
  ByName selection;
  for (const SafetensorsSelection& tensor : tensors) {
    if (!selection.emplace(tensor.name, &tensor).second) {
      throw invalid(path, tensor.name, "selected twice");
    }
  }
  return selection;
}

}  // namespace

WantedTensors select_tensors(const std::vector<SafetensorsInputPtr>& inputs,
                             const std::vector<SafetensorsSelection>& names,
                             const std::string& path) {
  const ByName selection = index_selection(names, path);
  WantedTensors wanted;
  for (const SafetensorsInputPtr& input : inputs) {
    for (std::size_t i = 0; i < input->header.tensors.size(); ++i) {
      const safetensors::TensorInfo& info = input->header.tensors[i];
      IndexRange box{Shape(info.shape.size(), 0), info.shape};
      if (!selection.empty()) {
        const auto found = selection.find(info.name);
        if (found == selection.end()) continue;
        if (const auto& range = found->second->range) {
          check_box(input->file->path, info, *range);
          box = *range;
        }
      }
      wanted.emplace_back(input, i, std::move(box));
    }
  }
  if (wanted.size() >= selection.size()) return wanted;
  std::unordered_set<std::string_view> found;
  for (const WantedTensor& tensor : wanted) found.insert(tensor.info().name);
  for (const SafetensorsSelection& tensor : names) {
    if (!found.contains(tensor.name)) not_there(tensor.name, inputs, path);
  }
  return wanted;
}

WantedTensors select_tensors(const std::vector<SafetensorsInputPtr>& inputs,
                             const Selections& selections) {
  WantedTensors wanted;
  std::vector<std::string> names;
  for (const SafetensorsInputPtr& input : inputs) {
    for (std::size_t i = 0; i < input->header.tensors.size(); ++i) {
      const safetensors::TensorInfo& info = input->header.tensors[i];
      wanted.emplace_back(input, i, IndexRange{Shape(info.shape.size(), 0), info.shape});
      names.push_back(info.name);
    }
  }
  WantedTensors chosen;
  for (Chosen& one : choose_by_name(selections, names)) {
    WantedTensor& tensor = wanted[one.leaf];
    if (one.range) {
      check_range(*one.range, tensor.info().shape, tensor.info().name);
      tensor.box = *std::move(one.range);
    }
    chosen.push_back(std::move(tensor));
  }
  return chosen;
}

Tree tensor_leaves(const WantedTensors& wanted) {
  Dict dict;
  for (const WantedTensor& tensor : wanted) {
    auto source = make_tensor_source(tensor.input, tensor.tensor, tensor.box);
    dict[tensor.info().name] = Tree(Leaf(tensor.info().dtype, tensor.box.shape, std::move(source)));
  }
  return Tree(std::move(dict));
}

Task<Tree> read_wanted(WantedTensors wanted) {
  std::vector<Array> arrays;
  arrays.reserve(wanted.size());
  for (std::size_t next = 0; next < wanted.size();) {
    const SafetensorsInputPtr input = wanted[next].input;
    auto reads = std::make_shared<TensorReads>();
    for (; next < wanted.size() && wanted[next].input == input; ++next) {
      const safetensors::TensorInfo& info = wanted[next].info();
      arrays.push_back(Array::uninitialized(info.dtype, wanted[next].box.shape));
      reads->emplace_back(input->header, wanted[next].tensor, wanted[next].box,
                          arrays.back().bytes().data());
    }
    co_await read_tensors(input, std::move(reads));
  }
  Dict dict;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    dict[wanted[i].info().name] = Tree(std::move(arrays[i]));
  }
  co_return Tree(std::move(dict));
}

}  // namespace cairn::internal
