#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_reader.h>
#include <cairn/manager/internal/chunk_sink.h>
#include <cairn/manager/internal/leaf_value.h>
#include <cairn/manager/internal/target_reader.h>
#include <cairn/manager/internal/tree_reader.h>

#include <charconv>

namespace cairn::internal {
namespace {

/// Null where there is no such node.
Tree* find_node(Tree& tree, const KeyNames& path) {
  Tree* node = &tree;
  for (const std::string& key : path) {
    if (auto* dict = std::get_if<Dict>(&node->value())) {
      node = dict->find(key);
    } else {
      std::vector<Tree>* children = std::get_if<List>(&node->value());
      if (children == nullptr) children = std::get_if<Tuple>(&node->value());
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      const bool there = children != nullptr && error == std::errc() &&
                         end == key.data() + key.size() && index < children->size();
      node = there ? &(*children)[index] : nullptr;
    }
    if (node == nullptr) return nullptr;
  }
  return node;
}

}  // namespace

Task<void> TreeReader::open(Selections selections) {
  co_await index_.open(std::move(selections));
}

Task<ReadPlan> TreeReader::plan(ReadScope scope) const {
  auto make = [this, scope] { return plan_reads(scope, damage_); };
  co_return co_await engine::async_run(index_.folder()->engine->cpu(), std::move(make),
                                       asio::use_awaitable);
}

Task<std::vector<std::uint64_t>> TreeReader::stored_bytes() {
  std::vector<std::uint64_t> bytes(leaves().size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const StoredLeaf& leaf = leaves()[i];
    if (!leaf.array) continue;
    const std::string prefix = leaf.name.empty() ? "" : leaf.name + "/";
    for (const DatabaseEntry& entry : index_.database().below(prefix)) {
      if (!leaf.array->chunk_of(std::string_view(entry.key).substr(prefix.size()))) continue;
      bytes[i] += co_await index_.database().size_of(entry);
    }
  }
  co_return bytes;
}

void TreeReader::refuse_if_foreign(const StoredLeaf& leaf) const {
  if (leaf.type == orbax::ValueType::foreign) damage_(index_.foreign_error(leaf));
}

Task<Tree> TreeReader::load() {
  co_return co_await load(ReadScope(index_), index_.gaps());
}

Task<Tree> TreeReader::load(ReadScope scope, std::vector<KeyPath> gaps) const {
  for (const StoredLeaf& leaf : scope.leaves) refuse_if_foreign(leaf);
  // What is missing or cannot be is found before memory is asked for.
  ReadPlan reads = co_await plan(scope);
  std::vector<Array> arrays = allocate_arrays(scope);
  std::vector<LoadTarget> targets;
  targets.reserve(arrays.size());
  for (Array& array : arrays)
    targets.push_back(LoadTarget::dense(array.dtype(), array.bytes().data(), array.shape()));
  LoadSink sink(scope, std::move(targets));
  ChunkReader reader(scope, sink, damage_);
  co_await reader.run(std::move(reads));
  std::vector<Tree> values;
  values.reserve(arrays.size());
  for (Array& array : arrays) values.emplace_back(std::move(array));
  co_return assemble(scope.leaves, gaps, std::move(values));
}

Task<Tree> TreeReader::restore(TreeRequest request) {
  auto* into = std::get_if<TargetRequest>(&request);
  if (into == nullptr) {
    co_await index_.open(std::move(std::get<Selections>(request)));
    co_return co_await load();
  }
  TargetPlan plan(std::move(*into), index_);
  LeafChooser choose = [&plan](const std::vector<KeyPath>& paths,
                               const std::vector<orbax::ValueType>& types) {
    return plan.choose(paths, types);
  };
  co_await index_.open(std::move(choose));
  co_return co_await read_target(&index_, &plan);
}

Task<Tree> TreeReader::read(TreeRequest request) const {
  engine::CpuPool& cpu = index_.folder()->engine->cpu();
  if (auto* into = std::get_if<TargetRequest>(&request)) {
    TargetPlan plan(std::move(*into), index_);
    auto choose = [this, &plan] {
      std::vector<KeyPath> paths;
      std::vector<orbax::ValueType> types;
      for (const StoredLeaf& leaf : leaves()) {
        paths.push_back(leaf.path);
        types.push_back(leaf.type);
      }
      for (const Chosen& chosen : plan.choose(paths, types))
        refuse_if_foreign(leaves()[chosen.leaf]);
    };
    co_await engine::async_run(cpu, std::move(choose), asio::use_awaitable);
    co_return co_await read_target(&index_, &plan);
  }
  const Selections selections = std::move(std::get<Selections>(request));
  if (selections.empty()) co_return co_await load(ReadScope(index_), std::vector<KeyPath>());
  std::vector<StoredLeaf> chosen;
  std::vector<KeyPath> gaps;
  auto choose = [this, &selections, &chosen, &gaps] {
    std::vector<KeyPath> paths;
    for (const StoredLeaf& leaf : leaves()) paths.push_back(leaf.path);
    const std::vector<Chosen> named = internal::choose(selections, paths);
    for (const Chosen& one : named) {
      chosen.push_back(leaves()[one.leaf]);
      chosen.back().range = one.range;
      check_range(chosen.back());
    }
    gaps = list_gaps(paths, named);
  };
  co_await engine::async_run(cpu, std::move(choose), asio::use_awaitable);
  co_return co_await load(ReadScope(index_, chosen), std::move(gaps));
}

Task<void> TreeReader::verify(VerifyReport* report) {
  if (!index_.record_matches()) {
    ErrorContext context;
    context.path = join_path(index_.folder()->path, "manifest.ocdbt");
    context.item = index_.name();
    damage_(Error(ErrorCode::data_loss,
                  index_.database().is_ocdbt()
                      ? "the manifest is not the one that the item was committed with"
                      : "the manifest that the item was committed with is missing",
                  context));
  }
  co_await index_.database().check_version_tree();
  co_await index_.check_path_index();
  ReadPlan reads = co_await plan(ReadScope(index_));
  CheckSink check(index_.record() && index_.record_matches());
  ChunkReader reader(index_, check, damage_, ReadFrom::disk);
  co_await reader.run(std::move(reads));
  for (const StoredLeaf& leaf : leaves()) report->arrays += leaf.array ? 1 : 0;
  report->chunks += reader.good_chunks();
  report->bytes += reader.good_bytes();
}

Task<std::vector<Statistics>> TreeReader::statistics() {
  ReadPlan reads = co_await plan(ReadScope(index_));
  StatisticsSink sink(index_);
  ChunkReader reader(index_, sink, damage_);
  co_await reader.run(std::move(reads));
  co_return sink.finish();
}

Tree TreeReader::assemble(std::vector<Tree> arrays) const {
  return assemble(leaves(), index_.gaps(), std::move(arrays));
}

Tree TreeReader::assemble(std::span<const StoredLeaf> leaves, const std::vector<KeyPath>& gaps,
                          std::vector<Tree> arrays) const {
  std::vector<std::pair<KeyPath, Tree>> entries;
  entries.reserve(leaves.size() + gaps.size());
  for (std::size_t i = 0; i < leaves.size(); ++i)
    entries.emplace_back(leaves[i].path, leaf_value(leaves[i], std::move(arrays[i])));
  for (const KeyPath& gap : gaps) entries.emplace_back(gap, Tree());
  return build(std::move(entries));
}

Tree TreeReader::specs() const {
  std::vector<std::pair<KeyPath, Tree>> entries;
  entries.reserve(leaves().size());
  for (const StoredLeaf& leaf : leaves()) {
    if (leaf.array) {
      const zarr::ArrayMetadata& array = leaf.array->metadata;
      entries.emplace_back(leaf.path, Tree(LeafSpec(array.dtype, array.shape)));
    } else if (leaf.type == orbax::ValueType::string) {
      entries.emplace_back(leaf.path, Tree(LeafSpec()));
    } else {
      entries.emplace_back(leaf.path, leaf_value(leaf, Tree()));
    }
  }
  return build(std::move(entries));
}

Tree TreeReader::build(std::vector<std::pair<KeyPath, Tree>> entries) const {
  try {
    Tree tree = unflatten(std::move(entries));
    if (index_.record()) restore_tuples(tree);
    return tree;
  } catch (const FormatError& error) {
    ErrorContext context;
    context.item = index_.name();
    context.path = index_.folder()->path;
    throw Error(ErrorCode::data_loss, error.what(), context);
  }
}

void TreeReader::restore_tuples(Tree& tree) const {
  for (const KeyNames& path : index_.record()->tuples) {
    Tree* const node = find_node(tree, path);
    auto* list = node == nullptr ? nullptr : std::get_if<List>(&node->value());
    if (list == nullptr) continue;  // not read, or the item was rewritten
    Tuple tuple;
    tuple.reserve(list->size());
    for (Tree& child : *list) tuple.push_back(std::move(child));
    *node = Tree(std::move(tuple));
  }
}

}  // namespace cairn::internal
