// A step that three processes save together, for the peers to read as any other.

#include <cairn/manager/local_coordination.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

#include "matrix.h"
#include "patterns.h"

namespace cairn::interop {
namespace {

constexpr ProcessIndex kProcesses = 3;

/// The part of process `index` of a matrix that they share by rows; `array` is to live as long.
Leaf rows_of(const Array& array, ProcessIndex index) {
  const Index rows = array.shape()[0] / kProcesses;
  const Index columns = array.shape()[1];
  const Index first = rows * static_cast<Index>(index);
  const auto at = static_cast<std::size_t>(first * columns) * size_of(array.dtype());
  std::vector<LeafPart> part;
  part.emplace_back(IndexRange{{first, 0}, {rows, columns}},
                    ArrayView(array.dtype(), {rows, columns}, array.bytes().subspan(at).data()));
  return Leaf(array.dtype(), array.shape(), std::move(part));
}

/// By columns, the last has fewer.
Leaf columns_of(const Array& array, ProcessIndex index) {
  const Index columns = array.shape()[1];
  const Index each = (columns + kProcesses - 1) / kProcesses;
  const Index first = each * static_cast<Index>(index);
  const Index count = std::min(each, columns - first);
  std::vector<LeafPart> parts;
  for (Index row = 0; row < array.shape()[0]; ++row) {
    const auto at = static_cast<std::size_t>(row * columns + first) * size_of(array.dtype());
    parts.emplace_back(IndexRange{{row, first}, {1, count}},
                       ArrayView(array.dtype(), {1, count}, array.bytes().subspan(at).data()));
  }
  return Leaf(array.dtype(), array.shape(), std::move(parts));
}

void save_part(const std::string& root, const std::shared_ptr<Coordinator>& coordinator) {
  const ProcessIndex index = coordinator->process_index();
  const Array rows = make(DType::float32, {5001, 1003}, 1);
  const Array columns = make(DType::int16, {40, 70}, 2);
  const Array smooth = make(DType::bfloat16, {300, 2000}, 3, smooth_pattern);
  const Tree tree(Dict{{"rows", Tree(rows_of(rows, index))},
                       {"columns", Tree(columns_of(columns, index))},
                       {"smooth", Tree(rows_of(smooth, index))},
                       {"all", Tree(make(DType::float64, {500}, 4))},
                       {"list", Tree(List{Tree(1), Tree(Null()), Tree(2.5)})}});
  ManagerOptions options;
  options.coordinator = coordinator;
  options.encode_policy = [](const EncodeLoad&) { return EncodeDecision::encode; };
  CheckpointManager manager(root, options);
  Step step = 0;
  for (const Codec codec : {Codec::raw(), Codec::automatic()}) {
    args::Composite items;
    args::StandardSave params(tree);
    params.codec = codec;
    items.add("params", std::move(params));
    items.add("data", args::JsonSave(boost::json::object{{"epoch", 3}}));
    static_cast<void>(manager.save(step++, std::move(items)).get());
  }
  manager.close().get();
}

}  // namespace

void save_together(const std::string& root) {
  LocalGroup group(kProcesses);
  for (ProcessIndex index = 0; index < kProcesses; ++index) {
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child > 0) continue;
    try {
      save_part(root, group.join(index));
      ::_exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "process %u: %s\n", index, error.what());
      ::_exit(1);
    }
  }
  for (ProcessIndex index = 0; index < kProcesses; ++index) {
    int status = -1;
    ::waitpid(-1, &status, 0);
    if (status != 0) throw std::runtime_error("one of the processes that save together failed");
  }
}

}  // namespace cairn::interop
