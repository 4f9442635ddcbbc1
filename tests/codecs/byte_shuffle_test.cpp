#include <cairn/codecs/internal/byte_shuffle.h>

#include "codecs/blosc_samples.h"

namespace cairn::blosc::internal {
namespace {

class ShuffleOf : public ::testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!has(GetParam())) GTEST_SKIP() << "this processor lacks the instruction set";
  }
};

TEST_P(ShuffleOf, TakesElementsApartAndJoinsThemAgain) {
  const auto kernels = shuffle_kernels(GetParam());
  for (const std::size_t typesize : {1U, 2U, 3U, 4U, 7U, 8U, 12U, 16U, 17U, 32U, 255U}) {
    for (const std::size_t elements : {0U, 1U, 15U, 16U, 31U, 63U, 64U, 65U, 200U, 1'000U}) {
      const auto content = random_bytes(elements * typesize, typesize * 10'000 + elements);
      // Planes lie apart, so that a write beyond one is seen.
      std::vector<Bytes> planes(typesize, Bytes(elements + 1, std::byte{0xaa}));
      std::vector<std::byte*> places;
      for (auto& plane : planes) places.push_back(plane.data());
      shuffle(kernels, content.data(), elements, typesize, places.data());
      for (std::size_t j = 0; j < typesize; ++j) {
        EXPECT_EQ(planes[j][elements], std::byte{0xaa});
        for (std::size_t i = 0; i < elements; ++i) {
          ASSERT_EQ(planes[j][i], content[i * typesize + j]) << typesize << " " << elements;
        }
      }
      Bytes joined(content.size() + 1, std::byte{0xaa});
      unshuffle(kernels, places.data(), elements, typesize, joined.data());
      EXPECT_EQ(joined.back(), std::byte{0xaa});
      joined.pop_back();
      ASSERT_TRUE(joined == content) << typesize << " " << elements;
    }
  }
}

std::string name_of(const ::testing::TestParamInfo<InstructionSet>& tested) {
  constexpr const char* kNames[] = {"portable", "sse2", "avx2", "avx512"};
  return kNames[static_cast<int>(tested.param)];
}
INSTANTIATE_TEST_SUITE_P(Sets, ShuffleOf,
                         ::testing::Values(InstructionSet::portable, InstructionSet::sse2,
                                           InstructionSet::avx2, InstructionSet::avx512),
                         name_of);

}  // namespace
}  // namespace cairn::blosc::internal
