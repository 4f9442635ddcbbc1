#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/regular_file.h>
#include <cairn/manager/internal/safetensors_reader.h>
#include <cairn/manager/internal/safetensors_report.h>
#include <cairn/manager/internal/safetensors_select.h>
#include <cairn/manager/internal/source_reader.h>

#include <algorithm>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kBlockBytes = 4u << 20;
constexpr std::size_t kBlocksInFlight = 16;

Task<FileInfo> describe_file(EnginePtr engine, FolderPtr folder, std::string name) {
  RegularFile opened =
      co_await open_regular_file(engine, folder, name, LookUp::anywhere, engine::DirectIo::off);
  auto [error, status] = co_await opened.file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", opened.file->path);
  FileInfo info;
  info.path = std::move(name);
  info.bytes = status.size;
  info.links = status.links;
  co_return info;
}

LeafInfo describe_tensor(const safetensors::TensorInfo& tensor) {
  LeafInfo info;
  info.key_path = tensor.name;
  info.kind = "array";
  info.dtype = tensor.dtype;
  info.shape = tensor.shape;
  info.bytes = byte_count(tensor.dtype, tensor.shape);
  info.stored_bytes = tensor.end - tensor.begin;
  return info;
}

Damage damage_of(const Error& error, const std::string& path) {
  ErrorContext context = error.context();
  if (context.operation.empty()) context.operation = "verify";
  if (context.path.empty()) context.path = path;
  const Error placed(error.code(), error.reason(), context);
  Damage damage;
  damage.file = placed.context().path;
  damage.offset = placed.context().offset;
  damage.key_path = placed.context().key_path;
  damage.message = placed.what();
  return damage;
}

/// Elements [first, last) of what is wanted of a tensor.
Task<void> count_block(EnginePtr engine, const WantedTensor* tensor, std::uint64_t first,
                       std::uint64_t last, Statistics* statistics) {
  const DType dtype = tensor->info().dtype;
  const std::size_t size = (last - first) * size_of(dtype);
  auto [error, buffer] =
      co_await engine->window().async_acquire(size, engine::ArenaUse::read, kAsTuple);
  if (error) raise_failure(error, "wait for memory", tensor->input->file->path);
  const std::shared_ptr<Source> source =
      make_tensor_source(tensor->input, tensor->tensor, tensor->box);
  std::size_t done = 0;
  for (const IndexRange& box : boxes_of(tensor->box.shape, first, last)) {
    const std::size_t bytes = byte_count(dtype, box.shape);
    co_await await_source(source, box, buffer.span().subspan(done, bytes));
    done += bytes;
  }
  Statistics block;
  auto add = [&block, dtype, elements = buffer.span().first(size)] { block.add(dtype, elements); };
  co_await engine::async_run(engine->cpu(), std::move(add), asio::use_awaitable);
  statistics->merge(block);
}

Task<void> spawn_counts(engine::Nursery& nursery, EnginePtr engine, const WantedTensors* wanted,
                        std::vector<Statistics>* statistics) {
  for (std::size_t i = 0; i < wanted->size(); ++i) {
    const WantedTensor& tensor = (*wanted)[i];
    const auto count = static_cast<std::uint64_t>(element_count(tensor.box.shape));
    const std::uint64_t step = kBlockBytes / size_of(tensor.info().dtype);
    for (std::uint64_t first = 0; first < count; first += step) {
      if (!co_await nursery.wait_below(kBlocksInFlight)) co_return;
      const std::uint64_t last = std::min(count, first + step);
      nursery.spawn(count_block(engine, &tensor, first, last, &(*statistics)[i]));
    }
  }
}

}  // namespace

Task<ItemInfo> describe_safetensors(EnginePtr engine, std::string path, bool follow_links) {
  const SafetensorsPlace place = co_await find_safetensors(engine, path);
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_place(engine, place, follow_links);
  ItemInfo item;
  item.kind = "tree";
  item.layout = "safetensors";
  for (const SafetensorsInputPtr& input : inputs) {
    item.files.push_back(co_await describe_file(engine, place.folder, input->name));
    for (const auto& tensor : input->header.tensors) item.leaves.push_back(describe_tensor(tensor));
    for (const auto& [key, value] : input->header.metadata) item.metadata.emplace(key, value);
  }
  if (place.is_index())
    item.files.push_back(co_await describe_file(engine, place.folder, place.name));
  co_return item;
}

Task<VerifyReport> verify_safetensors(EnginePtr engine, std::string path, bool follow_links) {
  SafetensorsPlace place = co_await find_safetensors(engine, path);
  VerifyReport report;
  report.path = path;
  report.structure_only = true;
  FaultSink sink = [&report, &path](const Error& error) {
    (tells_of_damage(error) ? report.damages : report.unchecked).push_back(damage_of(error, path));
  };
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_place(engine, std::move(place), follow_links, std::move(sink));
  for (const SafetensorsInputPtr& input : inputs) report.arrays += input->header.tensors.size();
  co_return report;
}

Task<std::vector<LeafValues>> safetensors_values(EnginePtr engine, std::string path,
                                                 Selections selections, bool follow_links) {
  const std::vector<SafetensorsInputPtr> inputs =
      co_await open_safetensors_files(engine, path, follow_links);
  const WantedTensors wanted = select_tensors(inputs, selections);
  std::vector<Statistics> statistics(wanted.size());
  co_await engine::with_nursery(engine->executor(), &spawn_counts, engine, &wanted, &statistics);
  std::vector<LeafValues> values;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    LeafValues one;
    one.key_path = wanted[i].info().name;
    one.dtype = wanted[i].info().dtype;
    one.shape = wanted[i].box.shape;
    one.statistics = statistics[i];
    values.push_back(std::move(one));
  }
  co_return values;
}

}  // namespace cairn::internal
