#include "report/workloads.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "random.h"
#include "report/numbers.h"
#include "report/workload_shapes.h"

namespace cairn::bench {
namespace {

constexpr std::string_view kNames[] = {"llama",  "llama_bf16", "huge",  "tiny",
                                       "resnet", "odd",        "sparse"};

std::uint64_t stream_seed(std::uint64_t seed, std::uint64_t stream) {
  return scrambled(seed) + stream;
}

ArraySpecs joined(std::vector<ArraySpecs> parts) {
  ArraySpecs all;
  for (ArraySpecs& part : parts) {
    all.insert(all.end(), std::move_iterator(part.begin()), std::move_iterator(part.end()));
  }
  return all;
}

ArraySpecs llama_state(std::uint64_t bytes) {
  const ArraySpecs parameters = llama_parameters(bytes, 2 + 3 * sizeof(float));
  return joined({copied_to("params", parameters, DType::bfloat16),
                 copied_to("master", parameters, DType::float32),
                 moments("adam/m", parameters, Numbers::first_moment),
                 moments("adam/v", parameters, Numbers::second_moment)});
}

ArraySpecs resnet_state() {
  const ArraySpecs parameters = resnet_parameters();
  return joined({copied_to("params", parameters, DType::float32),
                 moments("momentum", parameters, Numbers::first_moment)});
}

ArraySpecs specs_of(std::string_view name, std::uint64_t bytes, std::uint64_t seed) {
  if (name == "llama") return llama_state(bytes);
  if (name == "llama_bf16") {
    return copied_to("params", llama_parameters(bytes, 2), DType::bfloat16);
  }
  if (name == "huge") {
    return {{"params/weight", DType::float32, {static_cast<Index>(bytes / sizeof(float))}}};
  }
  if (name == "tiny") return tiny_arrays(seed);
  if (name == "resnet") return resnet_state();
  if (name == "odd") return odd_arrays(bytes, seed);
  if (name == "sparse") return sparse_arrays(bytes);
  throw std::invalid_argument("no workload is named '" + std::string(name) + "'");
}

/// Nested dictionaries with what `leaf_of` makes of each array.
template <class Workload, class LeafOf>
Tree tree_of(Workload& workload, LeafOf leaf_of) {
  Tree root{Dict{}};
  for (auto& named : workload.arrays) {
    Tree* node = &root;
    std::string_view rest = named.path;
    while (!rest.empty()) {
      if (!node->template is<Dict>()) *node = Tree(Dict{});
      const auto slash = rest.find('/');
      node = &node->template as<Dict>()[rest.substr(0, slash)];
      rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    }
    *node = Tree(leaf_of(named.array));
  }
  return root;
}

}  // namespace

std::uint64_t Workload::bytes() const {
  std::uint64_t sum = 0;
  for (const NamedArray& named : arrays) sum += named.array.bytes().size();
  return sum;
}

std::vector<std::string> workload_names() {
  return {std::begin(kNames), std::end(kNames)};
}

Workload make_workload(std::string_view name, std::uint64_t bytes, std::uint64_t seed) {
  Workload workload{std::string(name), {}};
  ArraySpecs specs = specs_of(name, bytes, seed);
  workload.arrays.reserve(specs.size());
  std::vector<Filling> fillings;
  for (ArraySpec& spec : specs) {
    NamedArray& named = workload.arrays.emplace_back(
        NamedArray{std::move(spec.path), Array::uninitialized(spec.dtype, std::move(spec.shape)),
                   spec.numbers});
    fillings.push_back({.array = &named.array,
                        .numbers = spec.numbers,
                        .seed = stream_seed(seed, spec.stream),
                        .end = named.array.size()});
  }
  fill(fillings);
  return workload;
}

void update_rows(Workload& workload, double share, std::uint64_t seed) {
  if (!(share >= 0 && share <= 1)) throw std::invalid_argument("a share is between 0 and 1");
  constexpr Index kRunsMax = 8;
  // Not what make_workload() draws from the same seed.
  std::uint64_t stream = stream_seed(~seed, 0);
  Random random(stream);
  std::vector<Filling> fillings;
  for (NamedArray& named : workload.arrays) {
    const Index rows = named.array.shape().empty() ? 1 : named.array.shape().front();
    if (rows == 0 || named.array.size() == 0 || share == 0) continue;
    const Index row = named.array.size() / rows;
    const auto changed = std::max<Index>(std::llround(share * static_cast<double>(rows)), 1);
    const Index runs = std::min(kRunsMax, changed);
    for (Index i = 0; i < runs; ++i) {
      // Each run has a part of the rows to itself, and lies somewhere in it.
      const Index first = rows * i / runs;
      const Index room = rows * (i + 1) / runs - first;
      const Index length = std::min(room, changed * (i + 1) / runs - changed * i / runs);
      const auto gap = static_cast<std::uint64_t>(room - length + 1);
      const Index begin = first + static_cast<Index>(random.next() % gap);
      fillings.push_back(
          {&named.array, named.numbers, stream++, begin * row, (begin + length) * row});
    }
  }
  fill(fillings);
}

Tree views_of(const Workload& workload) {
  return tree_of(workload, [](const Array& array) { return ArrayView(array); });
}

Tree mutable_views_of(Workload& workload) {
  return tree_of(workload, [](Array& array) { return MutableArrayView(array); });
}

Workload targets_for(const Workload& workload) {
  Workload targets{workload.name, {}};
  targets.arrays.reserve(workload.arrays.size());
  for (const NamedArray& named : workload.arrays) {
    const Array& array = named.array;
    targets.arrays.push_back(
        {named.path, Array::uninitialized(array.dtype(), array.shape()), named.numbers});
  }
  on_all_cores(workload.arrays.size(), [&](std::size_t i) {
    // Each byte differs, so that none that a restore forgets can pass for restored.
    std::ranges::transform(workload.arrays[i].array.bytes(),
                           targets.arrays[i].array.bytes().begin(),
                           [](std::byte byte) { return ~byte; });
  });
  return targets;
}

std::string first_difference(const Workload& a, const Workload& b) {
  const std::size_t both = std::min(a.arrays.size(), b.arrays.size());
  for (std::size_t i = 0; i < both; ++i) {
    const bool same =
        a.arrays[i].path == b.arrays[i].path && a.arrays[i].array == b.arrays[i].array;
    if (!same) return a.arrays[i].path;
  }
  if (a.arrays.size() > both) return a.arrays[both].path;
  if (b.arrays.size() > both) return b.arrays[both].path;
  return {};
}

}  // namespace cairn::bench
