#include "report/workload_shapes.h"

#include <algorithm>
#include <cmath>

#include "random.h"

namespace cairn::bench {
namespace {

using std::to_string;

/// Llama-3.1-8B's, with their proportions where the hidden axis is a multiple of 8.
constexpr Index kHidden = 4096, kVocabulary = 128'256;
constexpr int kLayers = 32;
constexpr Index key_axis(Index hidden) {
  return hidden / 4;
}
constexpr Index feed_forward_axis(Index hidden) {
  return hidden / 2 * 7;
}
/// Of all but the two tables that have the vocabulary's axis.
constexpr Index inner_parameters(Index hidden) {
  const Index attention = 2 * hidden * hidden + 2 * key_axis(hidden) * hidden;
  const Index feed_forward = 3 * feed_forward_axis(hidden) * hidden;
  return kLayers * (attention + feed_forward + 2 * hidden) + hidden;
}
constexpr Index kLlamaParameters = inner_parameters(kHidden) + 2 * kVocabulary * kHidden;
static_assert(kLlamaParameters == 8'030'261'248);

void add_llama_layer(ArraySpecs& specs, const std::string& layer, Index hidden) {
  const Index keys = key_axis(hidden);
  const Index wide = feed_forward_axis(hidden);
  const auto add = [&](const char* name, Shape shape, Numbers numbers) {
    specs.push_back({layer + name + "/weight", DType::float32, std::move(shape), numbers});
  };
  add("self_attn/q_proj", {hidden, hidden}, Numbers::weights);
  add("self_attn/k_proj", {keys, hidden}, Numbers::weights);
  add("self_attn/v_proj", {keys, hidden}, Numbers::weights);
  add("self_attn/o_proj", {hidden, hidden}, Numbers::weights);
  add("mlp/gate_proj", {wide, hidden}, Numbers::weights);
  add("mlp/up_proj", {wide, hidden}, Numbers::weights);
  add("mlp/down_proj", {hidden, wide}, Numbers::weights);
  add("input_layernorm", {hidden}, Numbers::scales);
  add("post_attention_layernorm", {hidden}, Numbers::scales);
}

/// Gives each array the numbers of its place.
ArraySpecs numbered(ArraySpecs specs) {
  std::uint64_t stream = 0;
  for (ArraySpec& spec : specs) spec.stream = stream++;
  return specs;
}

class ResNet {
 public:
  void add_convolution(const std::string& name, Index from, Index to, Index window) {
    add(name + "/weight", {to, from, window, window}, Numbers::weights);
  }
  void add_norm(const std::string& name, Index channels) {
    add(name + "/weight", {channels}, Numbers::scales);
    add(name + "/bias", {channels}, Numbers::weights);
  }
  /// A bottleneck of `width`, whose first convolution reads `from` channels.
  void add_block(const std::string& name, Index from, Index width, bool first) {
    const Index to = 4 * width;
    add_convolution(name + "/conv1", from, width, 1);
    add_norm(name + "/bn1", width);
    add_convolution(name + "/conv2", width, width, 3);
    add_norm(name + "/bn2", width);
    add_convolution(name + "/conv3", width, to, 1);
    add_norm(name + "/bn3", to);
    if (!first) return;
    add_convolution(name + "/downsample/0", from, to, 1);
    add_norm(name + "/downsample/1", to);
  }
  void add(const std::string& path, Shape shape, Numbers numbers) {
    specs_.push_back({path, DType::float32, std::move(shape), numbers});
  }
  ArraySpecs take() { return numbered(std::move(specs_)); }

 private:
  ArraySpecs specs_;
};

}  // namespace

ArraySpecs llama_parameters(std::uint64_t bytes, std::uint64_t parameter_bytes) {
  const auto wanted = static_cast<Index>(bytes / parameter_bytes);
  const double scale =
      std::sqrt(static_cast<double>(wanted) / static_cast<double>(kLlamaParameters));
  const auto eighths = static_cast<Index>(std::lround(scale * static_cast<double>(kHidden) / 8));
  Index hidden = 8 * std::max<Index>(eighths, 1);
  while (hidden > 8 && inner_parameters(hidden) + 2 * hidden > wanted) hidden -= 8;
  // What rounding has added or taken, the vocabulary makes up for.
  const Index rest = wanted - inner_parameters(hidden);
  const Index vocabulary = std::max<Index>((rest + hidden) / (2 * hidden), 1);

  ArraySpecs specs;
  specs.push_back({"model/embed_tokens/weight", DType::float32, {vocabulary, hidden}});
  for (int layer = 0; layer < kLayers; ++layer) {
    add_llama_layer(specs, "model/layers/" + to_string(layer) + "/", hidden);
  }
  specs.push_back({"model/norm/weight", DType::float32, {hidden}, Numbers::scales});
  specs.push_back({"lm_head/weight", DType::float32, {vocabulary, hidden}});
  return numbered(std::move(specs));
}

ArraySpecs resnet_parameters() {
  ResNet net;
  net.add_convolution("conv1", 3, 64, 7);
  net.add_norm("bn1", 64);
  constexpr int kBlocks[] = {3, 4, 6, 3};
  Index from = 64;
  Index width = 64;
  for (int stage = 0; stage < 4; ++stage) {
    for (int block = 0; block < kBlocks[stage]; ++block) {
      const std::string name = "layer" + to_string(stage + 1) + "/" + to_string(block);
      net.add_block(name, from, width, block == 0);
      from = 4 * width;
    }
    width *= 2;
  }
  net.add("fc/weight", {1000, 2048}, Numbers::weights);
  net.add("fc/bias", {1000}, Numbers::weights);
  return net.take();
}

ArraySpecs tiny_arrays(std::uint64_t seed) {
  constexpr int kBlocks = 1000, kModules = 10;
  constexpr const char* kNames[] = {"kernel", "bias",  "scale", "mean",  "variance",
                                    "mu",     "count", "nu",    "codes", "pixels"};
  constexpr DType kTypes[] = {DType::float32, DType::float32,  DType::bfloat16, DType::bfloat16,
                              DType::float64, DType::bfloat16, DType::int32,    DType::int64,
                              DType::int8,    DType::uint8};
  ArraySpecs specs;
  Random random(seed);
  for (int block = 0; block < kBlocks; ++block) {
    for (int module = 0; module < kModules; ++module) {
      const std::string path = "blocks/" + to_string(block) + "/module_" + to_string(module) + "/";
      for (std::size_t i = 0; i < std::size(kNames); ++i) {
        // 16 B to 4 KiB, as many in each octave; half of them are matrices where that is possible.
        const double bytes = 16 * std::pow(256, random.uniform());
        const auto elements = static_cast<Index>(bytes) / static_cast<Index>(size_of(kTypes[i]));
        const bool matrix = elements % 4 == 0 && random.next() % 2 == 0;
        Shape shape = matrix ? Shape{elements / 4, 4} : Shape{elements};
        specs.push_back({path + kNames[i], kTypes[i], std::move(shape)});
      }
    }
  }
  return numbered(std::move(specs));
}

ArraySpecs odd_arrays(std::uint64_t bytes, std::uint64_t seed) {
  constexpr Index kUnit = 4096;
  constexpr Index kMean = 16 * kUnit;  // of small workloads; in large ones each offset occurs
  auto left = static_cast<Index>(bytes);
  const Index count = std::clamp<Index>(left / kMean, 2, kUnit + 1);
  ArraySpecs specs;
  Random random(seed);
  for (Index i = 0; i < count; ++i) {
    const Index offset = 1 + i * kUnit / (count - 1);
    // Half as much to once and a half as much as would come to each; the last one takes the rest.
    const double part = i + 1 == count ? 1 : 0.5 + random.uniform();
    const double size = part * static_cast<double>(left) / static_cast<double>(count - i);
    const auto units = std::lround((size - static_cast<double>(offset)) / double{kUnit});
    const Index elements = std::max<Index>(units, 1) * kUnit + offset;
    const DType dtype = i % 2 == 0 ? DType::int8 : DType::uint8;
    specs.push_back({"arrays/" + to_string(i), dtype, {elements}});
    left -= elements;
  }
  return numbered(std::move(specs));
}

ArraySpecs sparse_arrays(std::uint64_t bytes) {
  constexpr Index kWidth = 128;
  constexpr Index kPercent[] = {40, 20, 12, 10, 8, 5, 3, 2};
  const auto rows = static_cast<Index>(bytes / (kWidth * sizeof(float)));
  ArraySpecs specs;
  Index table = 0;
  for (const Index percent : kPercent) {
    const Index own = std::max<Index>(rows * percent / 100, 1);
    specs.push_back({"tables/" + to_string(table++), DType::float32, {own, kWidth}});
  }
  return numbered(std::move(specs));
}

ArraySpecs copied_to(const std::string& name, ArraySpecs specs, DType dtype) {
  for (ArraySpec& spec : specs) {
    spec.path.insert(0, name + "/");
    spec.dtype = dtype;
  }
  return specs;
}

ArraySpecs moments(const std::string& name, ArraySpecs specs, Numbers numbers) {
  const std::uint64_t others = specs.size() * (1 + static_cast<std::uint64_t>(numbers));
  for (ArraySpec& spec : specs) {
    spec.path.insert(0, name + "/");
    spec.numbers = numbers;
    spec.stream += others;
  }
  return specs;
}

}  // namespace cairn::bench
