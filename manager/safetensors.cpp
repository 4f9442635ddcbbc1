#include <cairn/manager/internal/safetensors_select.h>
#include <cairn/manager/internal/safetensors_writer.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/safetensors.h>

#include <unordered_set>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

SafetensorsContent describe(const std::vector<SafetensorsInputPtr>& inputs,
                            const WantedTensors& wanted) {
  SafetensorsContent content;
  std::unordered_set<std::string_view> keys;
  for (const SafetensorsInputPtr& input : inputs) {
    content.files.push_back(input->file->path);
    for (const auto& entry : input->header.metadata) {
      if (keys.insert(entry.first).second) content.metadata.push_back(entry);
    }
  }
  for (const WantedTensor& tensor : wanted) {
    content.bytes += byte_count(tensor.info().dtype, tensor.box.shape);
  }
  return content;
}

Task<SafetensorsContent> open(EnginePtr engine, std::string path, SafetensorsReadOptions options) {
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_files(engine, path, options.follow_links);
  const WantedTensors wanted = select_tensors(inputs, options.tensors, path);
  SafetensorsContent content = describe(inputs, wanted);
  content.tree = tensor_leaves(wanted);
  co_return content;
}

Task<SafetensorsContent> read(EnginePtr engine, std::string path, SafetensorsReadOptions options) {
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_files(engine, path, options.follow_links);
  WantedTensors wanted = select_tensors(inputs, options.tensors, path);
  SafetensorsContent content = describe(inputs, wanted);
  content.tree = co_await read_wanted(std::move(wanted));
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
