#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_reader.h>
#include <cairn/manager/internal/chunk_sink.h>
#include <cairn/manager/internal/tree_reader.h>

#include <charconv>

namespace cairn::internal {
namespace {

template <class Stored, class Number>
Tree number_of(const Array& array) {
  return Tree(static_cast<Number>(array.values<Stored>()[0]));
}

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

/// A number of any width is a Python number to Orbax; what no number of ours holds exactly stays an
/// array of rank 0.
Tree scalar_of(Array array) {
  if (!array.shape().empty()) return Tree(std::move(array));
  switch (array.dtype()) {
    case DType::boolean:
      return Tree(std::to_integer<int>(array.bytes()[0]) != 0);
    case DType::int8:
      return number_of<std::int8_t, std::int64_t>(array);
    case DType::int16:
      return number_of<std::int16_t, std::int64_t>(array);
    case DType::int32:
      return number_of<std::int32_t, std::int64_t>(array);
    case DType::int64:
      return number_of<std::int64_t, std::int64_t>(array);
    case DType::uint8:
      return number_of<std::uint8_t, std::int64_t>(array);
    case DType::uint16:
      return number_of<std::uint16_t, std::int64_t>(array);
    case DType::uint32:
      return number_of<std::uint32_t, std::int64_t>(array);
    case DType::uint64:
      return number_of<std::uint64_t, std::uint64_t>(array);
    case DType::float32:
      return number_of<float, double>(array);
    case DType::float64:
      return number_of<double, double>(array);
    default:
      return Tree(std::move(array));
  }
}

}  // namespace

Task<void> TreeReader::open(Selections selections) {
  co_await index_.open(std::move(selections));
}

Task<ReadPlan> TreeReader::plan() {
  auto make = [this] { return plan_reads(index_, damage_); };
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

Task<Tree> TreeReader::load() {
  // What is missing or cannot be is found before memory is asked for.
  ReadPlan reads = co_await plan();
  std::vector<Array> arrays = allocate_arrays(index_);
  std::vector<std::byte*> memory;
  memory.reserve(arrays.size());
  for (Array& array : arrays) memory.push_back(array.bytes().data());
  LoadSink sink(index_, std::move(memory));
  ChunkReader reader(index_, sink, damage_);
  co_await reader.run(std::move(reads));
  std::vector<Tree> values;
  values.reserve(arrays.size());
  for (Array& array : arrays) values.emplace_back(std::move(array));
  co_return assemble(std::move(values));
}

Task<void> TreeReader::verify(VerifyReport* report) {
  if (!index_.record_matches()) {
    const bool ocdbt = index_.database().is_ocdbt();
    ErrorContext context;
    context.path = join_path(index_.folder()->path,
                             ocdbt ? "manifest.ocdbt" : std::string(orbax::kTreeMetadataFile));
    context.item = index_.name();
    damage_(Error(ErrorCode::data_loss,
                  std::string(ocdbt ? "the manifest" : "the file") +
                      " is not the one that the item was committed with",
                  context));
  }
  ReadPlan reads = co_await plan();
  CheckSink check;
  ChunkReader reader(index_, check, damage_);
  co_await reader.run(std::move(reads));
  for (const StoredLeaf& leaf : leaves()) report->arrays += leaf.array ? 1 : 0;
  report->chunks += reader.good_chunks();
  report->bytes += reader.good_bytes();
}

Task<std::vector<Statistics>> TreeReader::statistics() {
  ReadPlan reads = co_await plan();
  StatisticsSink sink(index_);
  ChunkReader reader(index_, sink, damage_);
  co_await reader.run(std::move(reads));
  co_return sink.finish();
}

Tree TreeReader::assemble(std::vector<Tree> arrays) const {
  std::vector<std::pair<KeyPath, Tree>> entries;
  entries.reserve(leaves().size() + index_.gaps().size());
  for (std::size_t i = 0; i < leaves().size(); ++i)
    entries.emplace_back(leaves()[i].path, value_of(leaves()[i], std::move(arrays[i])));
  for (const KeyPath& gap : index_.gaps()) entries.emplace_back(gap, Tree());
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

Tree TreeReader::value_of(const StoredLeaf& leaf, Tree array) {
  using orbax::ValueType;
  switch (leaf.type) {
    case ValueType::none:
      return Tree(Null());
    case ValueType::empty_dict:
      return Tree(Dict());
    case ValueType::empty_list:
      return Tree(List());
    case ValueType::empty_tuple:
    case ValueType::empty_named_tuple:
      return Tree(Tuple());
    case ValueType::string:
      return Tree(leaf.text);
    case ValueType::jax_array:
    case ValueType::np_ndarray:
      return array;
    case ValueType::scalar:
      break;
  }
  return scalar_of(std::move(array.as<Array>()));
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
