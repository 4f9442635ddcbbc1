// What is written beside the arrays: OCDBT's nodes and manifest, zarr.json, and the tree.

#include <cairn/codecs/ocdbt.h>
#include <cairn/codecs/orbax.h>
#include <cairn/codecs/tree.h>
#include <cairn/codecs/zarr.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "micro/samples.h"

namespace cairn::bench {
namespace {

constexpr std::size_t kLayers = 125;
constexpr const char* kWeights[] = {"q_proj", "k_proj", "v_proj", "o_proj",
                                    "up",     "gate",   "down",   "norm"};
constexpr std::size_t kLeaves = kLayers * std::size(kWeights);
static_assert(kLeaves == 1000);
/// Entries of the tree of nodes, two for each leaf: its zarr.json and its chunk.
constexpr std::size_t kTreeLeaves = 5000;

/// {"params": {"layers_0": {"q_proj": {"kernel": ...}, ...}, ...}}: `layers` times eight leaves.
Tree make_tree() {
  const auto weights = sample(kBf16, std::size_t{4} << 10);
  Dict layers;
  for (std::size_t i = 0; i < kLayers; ++i) {
    Dict layer;
    for (const char* name : kWeights) {
      layer[name] = Dict{{"kernel", Tree(ArrayView(DType::bfloat16, {32, 64}, weights.data()))}};
    }
    layers["layers_" + std::to_string(i)] = std::move(layer);
  }
  return Dict{{"params", Tree(std::move(layers))}};
}

zarr::ArrayMetadata make_array_metadata() {
  zarr::ArrayMetadata metadata;
  metadata.dtype = DType::bfloat16;
  metadata.shape = {14336, 4096};
  metadata.chunk_shape = {2048, 4096};
  zarr::Blosc blosc;
  blosc.typesize = 2;
  metadata.codecs = {zarr::Bytes{}, blosc, zarr::Crc32c{}};
  return metadata;
}

// Sorted, as in a node: arrays one after another in a file.
std::vector<ocdbt::Entry> make_entries(std::size_t leaves) {
  std::mt19937_64 random(kSampleSeed);
  const std::string zarr_json = zarr::encode_metadata(make_array_metadata());
  std::vector<ocdbt::Entry> entries;
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < leaves; ++i) {
    const std::string name = "params.layers_" + std::to_string(i / std::size(kWeights)) + "." +
                             kWeights[i % std::size(kWeights)] + ".kernel/";
    const std::uint64_t length = (std::uint64_t{1} << 20) + random() % (std::uint64_t{15} << 20);
    entries.emplace_back(name + "c/0/0", ocdbt::Reference{0, offset, length});
    entries.emplace_back(name + "zarr.json", zarr_json);
    offset += length;
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  return entries;
}

const ocdbt::FileTable kFiles{{"", "d/0123456789abcdef0123456789abcdef"}};

ocdbt::Node make_node() {
  ocdbt::Node node;
  node.files = kFiles;
  node.entries = make_entries(kLeaves / 2);
  return node;
}

// ---- OCDBT -------------------------------------------------------------------------------------

void run_node_encode(benchmark::State& state) {
  const ocdbt::Node node = make_node();
  const ocdbt::Config config;
  while (state.KeepRunning()) benchmark::DoNotOptimize(ocdbt::encode(node, config));
  measure_items(state, kLeaves);
}
BENCHMARK(run_node_encode)->Name("ocdbt_node.encode");

void run_node_decode(benchmark::State& state) {
  const ocdbt::Config config;
  const ocdbt::Node node = make_node();
  const std::string bytes = ocdbt::encode(node, config);
  if (ocdbt::decode_node(bytes, config.max_decoded_node_bytes) != node) {
    state.SkipWithError("another node came back");
  }
  while (state.KeepRunning()) {
    benchmark::DoNotOptimize(ocdbt::decode_node(bytes, config.max_decoded_node_bytes));
  }
  measure_items(state, kLeaves);
}
BENCHMARK(run_node_decode)->Name("ocdbt_node.decode");

void run_tree_encode(benchmark::State& state) {
  const auto entries = make_entries(kTreeLeaves);
  const ocdbt::Config config;
  while (state.KeepRunning()) {
    state.PauseTiming();
    auto given = entries;
    state.ResumeTiming();
    benchmark::DoNotOptimize(ocdbt::encode_tree(std::move(given), kFiles, 0, 0, config));
  }
  measure_items(state, entries.size());
}
BENCHMARK(run_tree_encode)->Name("ocdbt_tree.encode");

ocdbt::Manifest make_manifest() {
  ocdbt::Manifest manifest;
  manifest.files = kFiles;
  // As many as a manifest keeps.
  for (std::uint64_t i = 1; i <= 16; ++i) {
    ocdbt::Version version;
    version.generation = i;
    version.root = ocdbt::Reference{0, i << 30, 4000 + i};
    version.statistics = {2 * kLeaves, 4000 + i, i << 30};
    version.commit_time_ns = 1700000000000000000 + i;
    manifest.versions.push_back(version);
  }
  return manifest;
}

void run_manifest_encode(benchmark::State& state) {
  const auto manifest = make_manifest();
  while (state.KeepRunning()) benchmark::DoNotOptimize(ocdbt::encode(manifest));
  measure_items(state, 1);
}
BENCHMARK(run_manifest_encode)->Name("ocdbt_manifest.encode");

void run_manifest_decode(benchmark::State& state) {
  const std::string bytes = ocdbt::encode(make_manifest());
  while (state.KeepRunning()) benchmark::DoNotOptimize(ocdbt::decode_manifest(bytes));
  measure_items(state, 1);
}
BENCHMARK(run_manifest_decode)->Name("ocdbt_manifest.decode");

// ---- zarr.json ---------------------------------------------------------------------------------

void run_zarr_encode(benchmark::State& state) {
  const auto metadata = make_array_metadata();
  while (state.KeepRunning()) benchmark::DoNotOptimize(zarr::encode_metadata(metadata));
  measure_items(state, 1);
}
BENCHMARK(run_zarr_encode)->Name("zarr_json.encode");

void run_zarr_decode(benchmark::State& state) {
  const std::string text = zarr::encode_metadata(make_array_metadata());
  while (state.KeepRunning()) benchmark::DoNotOptimize(zarr::decode_metadata(text));
  measure_items(state, 1);
}
BENCHMARK(run_zarr_decode)->Name("zarr_json.decode");

// ---- trees -------------------------------------------------------------------------------------

void run_flatten(benchmark::State& state) {
  const Tree tree = make_tree();
  while (state.KeepRunning()) benchmark::DoNotOptimize(flatten(tree));
  measure_items(state, kLeaves);
}
BENCHMARK(run_flatten)->Name("tree.flatten");

void run_unflatten(benchmark::State& state) {
  const Tree tree = make_tree();
  std::vector<std::pair<KeyPath, Tree>> entries;
  for (auto& entry : flatten(tree)) entries.emplace_back(entry.path, *entry.node);
  while (state.KeepRunning()) {
    state.PauseTiming();
    auto given = entries;
    state.ResumeTiming();
    benchmark::DoNotOptimize(unflatten(std::move(given)));
  }
  measure_items(state, kLeaves);
}
BENCHMARK(run_unflatten)->Name("tree.unflatten");

orbax::TreeMetadata make_tree_metadata() {
  orbax::TreeMetadata metadata;
  metadata.use_ocdbt = true;
  metadata.use_zarr3 = true;
  const Tree tree = make_tree();
  for (auto& entry : flatten(tree)) {
    orbax::TreeEntry& added = metadata.entries.emplace_back();
    added.path = std::move(entry.path);
    added.write_shape = Shape{2048, 4096};
  }
  return metadata;
}

void run_tree_metadata_encode(benchmark::State& state) {
  const auto metadata = make_tree_metadata();
  while (state.KeepRunning()) benchmark::DoNotOptimize(orbax::encode(metadata));
  measure_items(state, kLeaves);
}
BENCHMARK(run_tree_metadata_encode)->Name("tree_metadata.encode");

void run_tree_metadata_decode(benchmark::State& state) {
  const std::string text = orbax::encode(make_tree_metadata());
  while (state.KeepRunning()) benchmark::DoNotOptimize(orbax::decode_tree_metadata(text));
  measure_items(state, kLeaves);
}
BENCHMARK(run_tree_metadata_decode)->Name("tree_metadata.decode");

}  // namespace
}  // namespace cairn::bench
