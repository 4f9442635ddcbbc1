#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "matrix.h"
#include "patterns.h"

namespace cairn::interop {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

/// "all", or names with commas between them.
std::vector<DType> parse_dtypes(std::string_view text) {
  std::vector<DType> dtypes;
  if (text == "all") {
    for (std::size_t d = 0; d < kDTypeCount; ++d) dtypes.push_back(static_cast<DType>(d));
    return dtypes;
  }
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    const std::optional<DType> dtype = dtype_from_name(name);
    if (!dtype) throw std::invalid_argument("unknown dtype '" + std::string(name) + "'");
    dtypes.push_back(*dtype);
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  }
  return dtypes;
}

/// The number of an array is its dtype's times 10 plus its place here.
Tree shapes_of(DType dtype) {
  const std::uint64_t seed = static_cast<std::uint64_t>(dtype) * 10;
  return Tree(Dict{{"rank0", Tree(make(dtype, {}, seed))},
                   {"small", Tree(make(dtype, {3, 5}, seed + 1))},
                   {"table", Tree(make(dtype, {300, 70}, seed + 2))},
                   {"smooth", Tree(make(dtype, {smooth_size(dtype)}, seed + 3, smooth_pattern))}});
}

Dict arrays_of(const std::vector<DType>& dtypes) {
  Dict tree;
  Dict empty;
  for (const DType dtype : dtypes) {
    tree[name_of(dtype)] = shapes_of(dtype);
    empty[name_of(dtype)] = Tree(Array(dtype, {0, 4}));
  }
  tree["empty"] = Tree(std::move(empty));
  tree["scalars"] = Tree(Dict{{"bool", Tree(true)},
                              {"int", Tree(-7)},
                              {"large", Tree(std::int64_t{1} << 40)},
                              {"float", Tree(0.1)}});
  return tree;
}

Tree strings() {
  return Tree(Dict{{"plain", Tree("text")},
                   {"unicode", Tree("grüße 😀\n\"quoted\"\\")},
                   {"none", Tree("")},
                   {"list", Tree(List{Tree("a"), Tree("b")})}});
}

EncodePolicy always(EncodeDecision decision) {
  return [decision](const EncodeLoad&) { return decision; };
}

/// What an index says of one leaf; elements go to `data`.
json::object described(const FlatEntry& entry, std::ofstream& data) {
  json::array path;
  for (const Key& key : entry.path) path.emplace_back(key.name);
  json::object leaf{{"path", std::move(path)}, {"kind", entry.node->kind()}};
  const Tree& node = *entry.node;
  if (const auto* array = std::get_if<Array>(&node.value())) {
    leaf["dtype"] = name_of(array->dtype());
    leaf["shape"] = json::array(array->shape().begin(), array->shape().end());
    leaf["offset"] = static_cast<std::int64_t>(data.tellp());
    leaf["bytes"] = array->bytes().size();
    data.write(reinterpret_cast<const char*>(array->bytes().data()),
               static_cast<std::streamsize>(array->bytes().size()));
  } else if (const auto* flag = std::get_if<bool>(&node.value())) {
    leaf["value"] = *flag;
  } else if (const auto* integer = std::get_if<std::int64_t>(&node.value())) {
    leaf["value"] = *integer;
  } else if (const auto* number = std::get_if<std::uint64_t>(&node.value())) {
    leaf["value"] = *number;
  } else if (const auto* real = std::get_if<double>(&node.value())) {
    leaf["value"] = *real;
  } else if (const auto* text = std::get_if<std::string>(&node.value())) {
    leaf["value"] = *text;
  }
  return leaf;
}

json::object dump_one(const std::shared_ptr<engine::Engine>& engine, const std::string& path,
                      const fs::path& out) {
  try {
    const bool file = path.ends_with(".safetensors");
    const Tree tree =
        file ? read_safetensors(engine, path).get().tree : read_tree(engine, path).get();
    std::ofstream data(out / "data.bin", std::ios::binary);
    json::array leaves;
    for (const FlatEntry& entry : flatten(tree)) leaves.push_back(described(entry, data));
    data.close();
    if (!data) throw std::runtime_error("cannot write " + (out / "data.bin").string());
    return {{"leaves", std::move(leaves)}};
  } catch (const Error& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

void save(const std::string& root, std::string_view layout, std::string_view codec,
          std::string_view dtypes) {
  ManagerOptions options;
  options.layout = parse_layout(layout);
  // What the load would decide is for benchmarks: here each way is to be seen at work.
  const bool stored = codec == "auto-stored";
  options.codec = stored ? Codec::automatic() : Codec::parse(codec);
  options.encode_policy = always(stored ? EncodeDecision::store : EncodeDecision::encode);
  CheckpointManager manager(root, options);
  const Step step = manager.latest_step().value_or(-1) + 1;
  Dict tree = arrays_of(parse_dtypes(dtypes));
  tree["strings"] = strings();
  const SaveResult result = manager.save(step, args::PyTreeSave(Tree(std::move(tree)))).get();
  for (const CodecSummary& summary : result.items.at(0).codecs) {
    std::printf("%llu %llu %llu %s\n", static_cast<unsigned long long>(summary.arrays),
                static_cast<unsigned long long>(summary.chunks),
                static_cast<unsigned long long>(summary.chunks_stored), summary.codec.c_str());
  }
}

void write_safetensors_file(const std::string& file, std::string_view dtypes) {
  auto written = write_safetensors(engine::Engine::shared_default(),
                                   Tree(arrays_of(parse_dtypes(dtypes))), file);
  static_cast<void>(written.get());
}

void dump(const std::string& out, const std::vector<std::string>& paths) {
  const auto engine = engine::Engine::shared_default();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const fs::path folder = fs::path(out) / std::to_string(i);
    fs::create_directories(folder);
    std::ofstream index(folder / "index.json");
    index << json::serialize(dump_one(engine, paths[i], folder));
    index.close();
    if (!index) throw std::runtime_error("cannot write " + (folder / "index.json").string());
  }
}

}  // namespace cairn::interop
