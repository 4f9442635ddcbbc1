#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_reader.h>
#include <cairn/manager/internal/chunk_sink.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/leaf_value.h>
#include <cairn/manager/internal/target_reader.h>

#include <utility>

namespace cairn::internal {
namespace {

/// Sources of rules with functions are read as they are, so many bytes of them at a time: enough
/// for the disk, little beside a state.
constexpr std::uint64_t kFunctionBatchBytes = 64u << 20;

/// What is read at once, and where it goes.
struct Reads {
  Reads() = default;
  std::vector<StoredLeaf> leaves;
  std::vector<LoadTarget> targets;
};

/// A value that a rule's function will make.
struct Made {
  explicit Made(TargetLeaf* l) : leaf(l) {}
  TargetLeaf* leaf;
  std::vector<const StoredLeaf*> sources;
  std::vector<Array> arrays;  ///< parallel; empty ones for what is no array
};

bool is_string(const StoredLeaf& leaf) {
  return leaf.type == orbax::ValueType::string;
}

std::size_t bytes_of(const StoredLeaf& leaf) {
  return leaf.array ? byte_count(leaf.array->metadata.dtype, leaf.array->metadata.shape) : 0;
}

/// Plans the leaves that take what is saved as it is, and zeroes what they have beyond it.
Reads place_saved_leaves(const ItemIndex& index, TargetPlan& plan) {
  Reads reads;
  MemoryCheck memory(index);
  for (TargetLeaf& leaf : plan.leaves()) {
    if (has_function(plan.rule_of(leaf))) continue;
    const StoredLeaf& saved = *plan.sources(leaf).front();
    if (is_string(saved)) continue;
    const zarr::ArrayMetadata& metadata = saved.array->metadata;
    memory.add(saved, leaf.bytes_to_make(metadata.dtype, metadata.shape));
    const TargetPlace place = leaf.make_place(metadata.dtype, metadata.shape);
    const Shape used = common_shape(metadata.shape, place.shape);
    zero_beyond(used, place.shape, place.memory);
    StoredLeaf narrowed = saved;
    if (used != metadata.shape) narrowed.range = IndexRange{Shape(used.size(), 0), used};
    reads.leaves.push_back(std::move(narrowed));
    reads.targets.push_back(place.memory);
  }
  return reads;
}

void finish_saved_leaves(TargetPlan& plan) {
  for (TargetLeaf& leaf : plan.leaves()) {
    if (has_function(plan.rule_of(leaf))) continue;
    const StoredLeaf& saved = *plan.sources(leaf).front();
    if (is_string(saved)) {
      *leaf.node = Tree(saved.text);
    } else {
      leaf.finish([&saved](Array array) { return leaf_value(saved, Tree(std::move(array))); });
    }
  }
}

Tree call(const TransformRule& rule, const TargetLeaf& leaf, std::vector<Tree> values,
          const std::vector<const StoredLeaf*>& sources) {
  if (rule.value_function()) return rule.value_function()(std::move(values.front()));
  Dict by_key;
  for (std::size_t i = 0; i < sources.size(); ++i)
    by_key[key_text(sources[i]->path)] = std::move(values[i]);
  return rule.combine_function()(key_text(leaf.path), by_key);
}

/// What the rule's function makes of the sources, into the target.
void make_value(const TargetPlan& plan, Made& made) {
  TargetLeaf& leaf = *made.leaf;
  std::vector<Tree> values;
  for (std::size_t i = 0; i < made.sources.size(); ++i)
    values.push_back(leaf_value(*made.sources[i], Tree(std::move(made.arrays[i]))));
  const TransformRule& rule = *plan.rule_of(leaf);
  Tree value;
  try {
    value = call(rule, leaf, std::move(values), made.sources);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    plan.refuse(leaf.path, "the function of transform rule \"" + rule.pattern() +
                               "\" failed: " + error.what());
  }
  plan.check_value(leaf, value);
  // What fits as it is. Not a view: it may be of memory that goes with the values.
  const bool borrowed = value.is<ArrayView>() || value.is<MutableArrayView>();
  if (value.is<std::string>() || (leaf.takes_anything() && !borrowed)) {
    *leaf.node = std::move(value);
    return;
  }
  std::byte number[sizeof(std::uint64_t)];
  const ArrayView view = elements_of(value, number);
  copy_to_place(view, leaf.make_place(view.dtype(), view.shape()));
  leaf.finish([](Array array) { return Tree(std::move(array)); });
}

/// Appends the sources of a leaf to what is read.
void place_sources(const ItemIndex& index, Made& made, Reads& reads) {
  MemoryCheck memory(index);
  for (const StoredLeaf* source : made.sources) {
    made.arrays.emplace_back();
    if (!source->array) continue;
    const zarr::ArrayMetadata& metadata = source->array->metadata;
    memory.add(*source, bytes_of(*source));
    made.arrays.back() = Array::uninitialized(metadata.dtype, metadata.shape);
    reads.leaves.push_back(*source);
    reads.targets.push_back(
        LoadTarget::dense(metadata.dtype, made.arrays.back().bytes().data(), metadata.shape));
  }
}

/// Reads the sources of leaves and calls their functions.
Task<void> make_values(const ItemIndex* index, const TargetPlan* plan, std::vector<Made> batch) {
  engine::CpuPool& cpu = index->folder()->engine->cpu();
  Reads reads;
  auto place = [&] {
    for (Made& made : batch) place_sources(*index, made, reads);
  };
  co_await engine::async_run(cpu, std::move(place), asio::use_awaitable);
  co_await read_leaves(index, std::move(reads.leaves), std::move(reads.targets));
  auto make = [&] {
    for (Made& made : batch) make_value(*plan, made);
  };
  co_await engine::async_run(cpu, std::move(make), asio::use_awaitable);
}

Task<void> make_all_values(const ItemIndex* index, TargetPlan* plan) {
  std::vector<Made> batch;
  std::uint64_t bytes = 0;
  for (TargetLeaf& leaf : plan->leaves()) {
    if (!has_function(plan->rule_of(leaf))) continue;
    Made made(&leaf);
    made.sources = plan->sources(leaf);
    for (const StoredLeaf* source : made.sources) bytes += bytes_of(*source);
    batch.push_back(std::move(made));
    if (bytes < kFunctionBatchBytes) continue;
    std::vector<Made> full = std::exchange(batch, {});
    co_await make_values(index, plan, std::move(full));
    bytes = 0;
  }
  if (!batch.empty()) co_await make_values(index, plan, std::move(batch));
}

}  // namespace

Task<void> read_leaves(const ItemIndex* index, std::vector<StoredLeaf> leaves,
                       std::vector<LoadTarget> targets) {
  const ReadScope scope(*index, leaves);
  const DamageSink fail = throw_damage();
  auto plan = [&scope, &fail] { return plan_reads(scope, fail); };
  ReadPlan reads = co_await engine::async_run(index->folder()->engine->cpu(), std::move(plan),
                                              asio::use_awaitable);
  LoadSink sink(scope, std::move(targets));
  ChunkReader reader(scope, sink, fail);
  co_await reader.run(std::move(reads));
}

Task<Tree> read_target(const ItemIndex* index, TargetPlan* plan) {
  engine::CpuPool& cpu = index->folder()->engine->cpu();
  Reads reads;
  auto place = [&] {
    plan->settle();
    reads = place_saved_leaves(*index, *plan);
  };
  co_await engine::async_run(cpu, std::move(place), asio::use_awaitable);
  co_await read_leaves(index, std::move(reads.leaves), std::move(reads.targets));
  co_await make_all_values(index, plan);
  auto finish = [plan] { finish_saved_leaves(*plan); };
  co_await engine::async_run(cpu, std::move(finish), asio::use_awaitable);
  co_return plan->take_target();
}

}  // namespace cairn::internal
