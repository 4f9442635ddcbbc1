// choose_chunk_shape(): what it promises, on random shapes.

#include <cairn/codecs/zarr.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace cairn::zarr {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr unsigned kSeed = 20240601;
constexpr std::size_t kMiB = std::size_t{1} << 20;

Index pick(std::mt19937& random, Index low, Index high) {
  return std::uniform_int_distribution<Index>(low, high)(random);
}

// Stored elements over elements, minus one.
double padding(const Shape& shape, const Shape& chunk) {
  double stored = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const Index parts = (shape[i] + chunk[i] - 1) / chunk[i];
    stored *= static_cast<double>(parts * chunk[i]) / static_cast<double>(shape[i]);
  }
  return stored - 1;
}

Index product(const Shape& shape) {
  Index result = 1;
  for (const Index extent : shape) result *= extent;
  return result;
}

// What holds for every shape without empty axes.
void expect_promises(DType dtype, const Shape& shape, std::size_t target) {
  const Shape chunk = choose_chunk_shape(dtype, shape, target);
  ASSERT_EQ(chunk.size(), shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    ASSERT_GE(chunk[i], 1);
    ASSERT_LE(chunk[i], shape[i]);
  }
  const std::size_t item = size_of(dtype);
  const std::size_t bytes = static_cast<std::size_t>(product(chunk)) * item;
  if (target < item) {
    ASSERT_EQ(bytes, item);
    return;
  }
  ASSERT_LE(bytes, target);
  const std::size_t whole = static_cast<std::size_t>(product(shape)) * item;
  if (whole <= target) {
    ASSERT_EQ(chunk, shape);
  } else {
    ASSERT_GE(bytes / item, target / item / 2);
  }
}

TEST(ChooseChunkShape, KeepsASmallArrayWhole) {
  EXPECT_THAT(choose_chunk_shape(DType::float32, Shape{100, 7}, kMiB), ElementsAre(100, 7));
  EXPECT_THAT(choose_chunk_shape(DType::float32, Shape{}, kMiB), IsEmpty());
}

TEST(ChooseChunkShape, GivesAnEmptyAxisExtentOne) {
  EXPECT_THAT(choose_chunk_shape(DType::float32, Shape{0, 4, 0}, kMiB), ElementsAre(1, 4, 1));
}

TEST(ChooseChunkShape, SplitsLeadingAxesFirst) {
  EXPECT_THAT(choose_chunk_shape(DType::float32, Shape{4096, 1024}, kMiB), ElementsAre(256, 1024));
  EXPECT_THAT(choose_chunk_shape(DType::float32, Shape{8, 4096, 1024}, kMiB),
              ElementsAre(1, 256, 1024));
  // 13 parts of 77, not 12 of 81 and one of 29.
  EXPECT_THAT(choose_chunk_shape(DType::int8, Shape{1001, 100}, 8192), ElementsAre(77, 100));
}

TEST(ChooseChunkShape, SplitsALaterAxisWhereThatSavesPadding) {
  // 7 in parts of 4 would store an eighth for nothing.
  EXPECT_THAT(choose_chunk_shape(DType::int8, Shape{7, 1000}, 4000), ElementsAre(7, 500));
}

TEST(ChooseChunkShape, TakesAnyShapeThatAnArrayMayHave) {
  const Index huge = std::numeric_limits<Index>::max();
  EXPECT_THAT(choose_chunk_shape(DType::int8, Shape{huge}, kMiB).size(), 1u);
  EXPECT_THAT(choose_chunk_shape(DType::int8, Shape{huge, 0, huge}, kMiB), ElementsAre(1, 1, kMiB));
  EXPECT_THAT(choose_chunk_shape(DType::complex128, Shape{5, 5}, 0), ElementsAre(1, 1));
  EXPECT_THROW((void)choose_chunk_shape(DType::int8, Shape{-1}, kMiB), std::invalid_argument);
  expect_promises(DType::int8, Shape(kMaxRank, 3), kMiB);
  expect_promises(DType::int8, Shape{7, 7, 7, 7, 7, 7, 7, 7, 7, 7}, 1000);
}

TEST(ChooseChunkShape, KeepsItsPromisesForSmallShapes) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  for (int round = 0; round < 20'000; ++round) {
    Shape shape(static_cast<std::size_t>(pick(random, 0, 4)));
    for (Index& extent : shape) extent = pick(random, 1, 40);
    const auto target = static_cast<std::size_t>(pick(random, 1, 3000));
    ASSERT_NO_FATAL_FAILURE(expect_promises(DType::float32, shape, target)) << "round " << round;
  }
}

TEST(ChooseChunkShape, PadsLessThanOnePercentWhereverTheShapeAllowsIt) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  for (int round = 0; round < 3000; ++round) {
    const Shape shape{pick(random, 1, 12), pick(random, 1, 12), pick(random, 1, 12)};
    const Index target = pick(random, 1, 300);
    if (product(shape) <= target) continue;
    bool possible = false;
    for (Index a = 1; a <= shape[0]; ++a) {
      for (Index b = 1; b <= shape[1]; ++b) {
        for (Index c = 1; c <= shape[2]; ++c) {
          const Index size = a * b * c;
          if (size > target || size < (target + 1) / 2) continue;
          possible = possible || padding(shape, {a, b, c}) < 0.01;
        }
      }
    }
    const Shape chunk = choose_chunk_shape(DType::int8, shape, static_cast<std::size_t>(target));
    ASSERT_EQ(padding(shape, chunk) < 0.01, possible)
        << "round " << round << ": " << ::testing::PrintToString(shape) << " into "
        << ::testing::PrintToString(chunk) << ", at most " << target;
  }
}

TEST(ChooseChunkShape, PadsLessThanOnePercentOfLargeArrays) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  for (int round = 0; round < 20'000; ++round) {
    Shape shape(static_cast<std::size_t>(pick(random, 1, 4)));
    for (Index& extent : shape) extent = pick(random, 400, 20'000);
    ASSERT_NO_FATAL_FAILURE(expect_promises(DType::bfloat16, shape, 16 * kMiB));
    const Shape chunk = choose_chunk_shape(DType::bfloat16, shape, 16 * kMiB);
    ASSERT_LT(padding(shape, chunk), 0.01)
        << ::testing::PrintToString(shape) << " into " << ::testing::PrintToString(chunk);
  }
}

}  // namespace
}  // namespace cairn::zarr
