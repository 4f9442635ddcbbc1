#include <cairn/manager/internal/safetensors_reader.h>
#include <cairn/manager/internal/safetensors_writer.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/safetensors.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

constexpr std::size_t kNamesListedMax = 10;

/// A tensor that is wanted.
struct Wanted {
  Wanted(SafetensorsInputPtr i, std::size_t t, IndexRange b)
      : input(std::move(i)), tensor(t), box(std::move(b)) {}
  SafetensorsInputPtr input;
  std::size_t tensor;  ///< index into the header's
  IndexRange box;
  [[nodiscard]] const safetensors::TensorInfo& info() const {
    return input->header.tensors[tensor];
  }
};

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

void check_range(const std::string& path, const safetensors::TensorInfo& info,
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

using Selection = std::unordered_map<std::string, const SafetensorsSelection*>;

Selection index_selection(const std::vector<SafetensorsSelection>& tensors,
                          const std::string& path) {
  Selection selection;
  for (const SafetensorsSelection& tensor : tensors) {
    if (!selection.emplace(tensor.name, &tensor).second) {
      throw invalid(path, tensor.name, "selected twice");
    }
  }
  return selection;
}

std::vector<Wanted> select(const std::vector<SafetensorsInputPtr>& inputs,
                           const SafetensorsReadOptions& options, const std::string& path) {
  const Selection selection = index_selection(options.tensors, path);
  std::vector<Wanted> wanted;
  for (const SafetensorsInputPtr& input : inputs) {
    for (std::size_t i = 0; i < input->header.tensors.size(); ++i) {
      const safetensors::TensorInfo& info = input->header.tensors[i];
      IndexRange box{Shape(info.shape.size(), 0), info.shape};
      if (!selection.empty()) {
        const auto found = selection.find(info.name);
        if (found == selection.end()) continue;
        if (const auto& range = found->second->range) {
          check_range(input->file->path, info, *range);
          box = *range;
        }
      }
      wanted.emplace_back(input, i, std::move(box));
    }
  }
  if (wanted.size() >= selection.size()) return wanted;
  std::unordered_set<std::string_view> found;
  for (const Wanted& tensor : wanted) found.insert(tensor.info().name);
  for (const SafetensorsSelection& tensor : options.tensors) {
    if (!found.contains(tensor.name)) not_there(tensor.name, inputs, path);
  }
  return wanted;
}

SafetensorsContent describe(const std::vector<SafetensorsInputPtr>& inputs,
                            const std::vector<Wanted>& wanted) {
  SafetensorsContent content;
  std::unordered_set<std::string_view> keys;
  for (const SafetensorsInputPtr& input : inputs) {
    content.files.push_back(input->file->path);
    for (const auto& entry : input->header.metadata) {
      if (keys.insert(entry.first).second) content.metadata.push_back(entry);
    }
  }
  for (const Wanted& tensor : wanted) {
    content.bytes += byte_count(tensor.info().dtype, tensor.box.shape);
  }
  return content;
}

Task<SafetensorsContent> open(EnginePtr engine, std::string path, SafetensorsReadOptions options) {
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_files(engine, path, options.follow_links);
  const std::vector<Wanted> wanted = select(inputs, options, path);
  SafetensorsContent content = describe(inputs, wanted);
  Dict dict;
  for (const Wanted& tensor : wanted) {
    auto source = make_tensor_source(tensor.input, tensor.tensor, tensor.box);
    dict[tensor.info().name] = Tree(Leaf(tensor.info().dtype, tensor.box.shape, std::move(source)));
  }
  content.tree = Tree(std::move(dict));
  co_return content;
}

Task<SafetensorsContent> read(EnginePtr engine, std::string path, SafetensorsReadOptions options) {
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_files(engine, path, options.follow_links);
  const std::vector<Wanted> wanted = select(inputs, options, path);
  SafetensorsContent content = describe(inputs, wanted);
  std::vector<Array> arrays;
  arrays.reserve(wanted.size());
  for (std::size_t next = 0; next < wanted.size();) {
    // Those of one file stand together.
    const SafetensorsInputPtr input = wanted[next].input;
    auto reads = std::make_shared<TensorReads>();
    for (; next < wanted.size() && wanted[next].input == input; ++next) {
      const safetensors::TensorInfo& info = wanted[next].info();
      arrays.push_back(Array::uninitialized(info.dtype, wanted[next].box.shape));
      reads->emplace_back(input->header.data_offset + info.begin,
                          BoxRuns(info.dtype, info.shape, wanted[next].box),
                          arrays.back().bytes().data());
    }
    co_await read_tensors(input, std::move(reads));
  }
  Dict dict;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    dict[wanted[i].info().name] = Tree(std::move(arrays[i]));
  }
  content.tree = Tree(std::move(dict));
  co_return content;
}

}  // namespace

Future<SafetensorsContent> read_safetensors(std::shared_ptr<engine::Engine> engine,
                                            std::string path, SafetensorsReadOptions options) {
  return start(engine, read(engine, path, std::move(options)), "read safetensors", path);
}

Future<SafetensorsContent> open_safetensors(std::shared_ptr<engine::Engine> engine,
                                            std::string path, SafetensorsReadOptions options) {
  return start(engine, open(engine, path, std::move(options)), "open safetensors", path);
}

Future<SafetensorsWritten> write_safetensors(std::shared_ptr<engine::Engine> engine, Tree tree,
                                             std::string path, SafetensorsWriteOptions options) {
  return start(engine, write_files(engine, std::move(tree), path, std::move(options)),
               "write safetensors", path);
}

}  // namespace cairn
