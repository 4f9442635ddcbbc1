#include "report/workload_shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace cairn::bench {
namespace {

using testing::ElementsAre;

Index elements_of(const ArraySpecs& specs) {
  Index sum = 0;
  for (const ArraySpec& spec : specs) sum += element_count(spec.shape);
  return sum;
}

Shape shape_of(const ArraySpecs& specs, const std::string& path) {
  const auto found = std::ranges::find(specs, path, &ArraySpec::path);
  return found == specs.end() ? Shape{} : found->shape;
}

TEST(LlamaParameters, OfFullSizeAreThoseOfLlama) {
  const ArraySpecs specs = llama_parameters(2 * 8'030'261'248, 2);
  EXPECT_EQ(specs.size(), 291U);
  EXPECT_EQ(elements_of(specs), 8'030'261'248);
  const std::string layer = "model/layers/31/";
  EXPECT_THAT(shape_of(specs, "model/embed_tokens/weight"), ElementsAre(128'256, 4096));
  EXPECT_THAT(shape_of(specs, "lm_head/weight"), ElementsAre(128'256, 4096));
  EXPECT_THAT(shape_of(specs, "model/norm/weight"), ElementsAre(4096));
  EXPECT_THAT(shape_of(specs, layer + "self_attn/q_proj/weight"), ElementsAre(4096, 4096));
  EXPECT_THAT(shape_of(specs, layer + "self_attn/k_proj/weight"), ElementsAre(1024, 4096));
  EXPECT_THAT(shape_of(specs, layer + "self_attn/v_proj/weight"), ElementsAre(1024, 4096));
  EXPECT_THAT(shape_of(specs, layer + "self_attn/o_proj/weight"), ElementsAre(4096, 4096));
  EXPECT_THAT(shape_of(specs, layer + "mlp/gate_proj/weight"), ElementsAre(14'336, 4096));
  EXPECT_THAT(shape_of(specs, layer + "mlp/up_proj/weight"), ElementsAre(14'336, 4096));
  EXPECT_THAT(shape_of(specs, layer + "mlp/down_proj/weight"), ElementsAre(4096, 14'336));
  EXPECT_THAT(shape_of(specs, layer + "input_layernorm/weight"), ElementsAre(4096));
  EXPECT_THAT(shape_of(specs, layer + "post_attention_layernorm/weight"), ElementsAre(4096));
}

TEST(LlamaParameters, OfEverySizeHaveItWithinTwoPercent) {
  for (std::uint64_t bytes = std::uint64_t{1} << 20; bytes <= std::uint64_t{1} << 36;
       bytes += bytes / 3) {
    const auto made = 14 * static_cast<double>(elements_of(llama_parameters(bytes, 14)));
    EXPECT_NEAR(made / static_cast<double>(bytes), 1, 0.02) << bytes;
  }
}

TEST(ResNetParameters, AreThoseOfResNet50) {
  const ArraySpecs specs = resnet_parameters();
  EXPECT_EQ(specs.size(), 161U);
  EXPECT_EQ(elements_of(specs), 25'557'032);
  EXPECT_THAT(shape_of(specs, "conv1/weight"), ElementsAre(64, 3, 7, 7));
  EXPECT_THAT(shape_of(specs, "layer1/0/downsample/0/weight"), ElementsAre(256, 64, 1, 1));
  EXPECT_THAT(shape_of(specs, "layer3/5/conv2/weight"), ElementsAre(256, 256, 3, 3));
  EXPECT_THAT(shape_of(specs, "layer4/0/conv1/weight"), ElementsAre(512, 1024, 1, 1));
  EXPECT_THAT(shape_of(specs, "layer4/2/bn3/bias"), ElementsAre(2048));
  EXPECT_THAT(shape_of(specs, "fc/weight"), ElementsAre(1000, 2048));
}

TEST(TinyArrays, AreOfManyKindsAndAsManyInEachOctave) {
  const ArraySpecs specs = tiny_arrays(1);
  EXPECT_EQ(specs.size(), 100'000U);
  std::map<int, int> octaves;
  std::set<DType> dtypes;
  std::set<std::size_t> ranks;
  for (const ArraySpec& spec : specs) {
    const std::size_t bytes = byte_count(spec.dtype, spec.shape);
    ASSERT_GE(bytes, 16U) << spec.path;
    ASSERT_LE(bytes, 4096U) << spec.path;
    int octave = 0;
    while (bytes >> (octave + 1) > 0) ++octave;
    ++octaves[octave];
    dtypes.insert(spec.dtype);
    ranks.insert(spec.shape.size());
  }
  EXPECT_GE(dtypes.size(), 5U);
  EXPECT_EQ(ranks.size(), 2U);
  for (int octave = 4; octave < 12; ++octave) {
    EXPECT_NEAR(octaves[octave], 12'500, 1'000) << octave;
  }
}

TEST(OddArrays, LieBesideMultiplesOfAPageAtEveryDistance) {
  const ArraySpecs specs = odd_arrays(std::uint64_t{1} << 30, 1);
  std::set<Index> offsets;
  for (const ArraySpec& spec : specs) {
    const auto bytes = static_cast<Index>(byte_count(spec.dtype, spec.shape));
    ASSERT_GT(bytes, 4096) << spec.path;
    offsets.insert(bytes % 4096);
  }
  EXPECT_EQ(specs.size(), 4097U);
  EXPECT_EQ(offsets.size(), 4096U);  // 4097 more than a multiple are 1 more
}

TEST(OddArrays, HaveTheSizeThatIsAsked) {
  for (const std::uint64_t mib : {1U, 5U, 64U, 2048U}) {
    const auto bytes = static_cast<double>(mib << 20);
    const auto made = static_cast<double>(elements_of(odd_arrays(mib << 20, 3)));
    EXPECT_NEAR(made / bytes, 1, 0.02) << mib;
  }
}

}  // namespace
}  // namespace cairn::bench
