// Arrays that one process gives in parts: chunks end where parts do.

#include <cairn/manager/internal/part_chunks.h>
#include <gtest/gtest.h>

#include <numeric>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

constexpr std::size_t kMiBOfChunk = 1u << 20;

TEST(PartChunks, DivideEveryPartAndAreDividedUntilTheyAreSmallEnough) {
  const auto rows = [](Index first, Index count) { return IndexRange({first, 0}, {count, 1024}); };
  const auto chunk = [&](std::vector<IndexRange> boxes, std::size_t most) {
    return internal::common_chunk(DType::float32, {4096, 1024}, boxes, most);
  };
  EXPECT_EQ(chunk({rows(0, 1024), rows(1024, 3072)}, 16 * kMiBOfChunk), (Shape{1024, 1024}));
  EXPECT_EQ(chunk({rows(0, 1024), rows(1024, 3072)}, kMiBOfChunk), (Shape{256, 1024}));
  EXPECT_EQ(chunk({rows(0, 1536), rows(1536, 2560)}, kMiBOfChunk), (Shape{256, 1024}));
  // 768 rows, of which 256 are allowed, and 300, of which no more than a third is a divisor.
  EXPECT_EQ(chunk({rows(0, 768), rows(768, 768)}, kMiBOfChunk), (Shape{256, 1024}));
  EXPECT_EQ(chunk({rows(0, 300), rows(300, 3796)}, kMiBOfChunk / 2), (Shape{100, 1024}));
  EXPECT_EQ(chunk({rows(0, 7), rows(7, 4089)}, kMiBOfChunk), (Shape{7, 1024}));
  EXPECT_EQ(chunk({}, 16 * kMiBOfChunk), (Shape{4096, 1024}));
}

TEST(PartChunks, AnAxisThatNoPartEndsInIsDividedEvenly) {
  // A prime: as divisors, rows would be one by one.
  constexpr Index kPrime = 4099;
  const std::vector<IndexRange> halves = {IndexRange({0, 0}, {kPrime, 512}),
                                          IndexRange({0, 512}, {kPrime, 512})};
  EXPECT_EQ(internal::common_chunk(DType::float32, {kPrime, 1024}, halves, kMiBOfChunk),
            (Shape{456, 512}));
}

TEST(PartChunks, PartsWithoutElementsHaveNoEdges) {
  EXPECT_EQ(internal::common_chunk(DType::int8, {12}, {IndexRange({0}, {6}), IndexRange({5}, {0})},
                                   kMiBOfChunk),
            Shape{6});
}

TEST(PartChunks, EdgesThatLeaveFarSmallerChunksThanAimedAtAreCrossed) {
  // Between edges 251 rows, a prime: divided, they would be one by one.
  constexpr Index kRows = 251, kColumns = 40 << 10;
  const Array array(DType::int8, {2 * kRows, kColumns});
  std::vector<LeafPart> parts;
  for (const Index row : {Index{0}, kRows}) {
    const auto* at = array.bytes().subspan(static_cast<std::size_t>(row * kColumns)).data();
    parts.emplace_back(IndexRange({row, 0}, {kRows, kColumns}),
                       ArrayView(DType::int8, {kRows, kColumns}, at));
  }
  const Leaf leaf(DType::int8, array.shape(), std::move(parts));
  EXPECT_EQ(internal::chunk_of_parts(leaf, DType::int8, 4 * kMiBOfChunk), Shape{});
  EXPECT_EQ(internal::chunk_of_parts(leaf, DType::int8, 16 * kMiBOfChunk),
            (Shape{kRows, kColumns}));
}

class LeafInParts : public test::ManagerTest {
 protected:
  static constexpr Index kColumns = 100;

  static Array whole(Index rows) {
    Array array(DType::float32, {rows, kColumns});
    std::iota(array.values<float>().begin(), array.values<float>().end(), 0.5F);
    return array;
  }
  /// Of so many rows each, from the first on.
  static Tree in_parts(const Array& array, const std::vector<Index>& counts) {
    std::vector<LeafPart> parts;
    Index row = 0;
    for (const Index count : counts) {
      const std::size_t at = static_cast<std::size_t>(row * kColumns) * sizeof(float);
      parts.emplace_back(
          IndexRange({row, 0}, {count, kColumns}),
          ArrayView(DType::float32, {count, kColumns}, array.bytes().subspan(at).data()));
      row += count;
    }
    return Dict{{"w", Tree(Leaf(DType::float32, array.shape(), std::move(parts)))}};
  }
  /// Saves it, checks what comes back, and tells how it is stored.
  LeafInfo stored(const ManagerOptions& options, const Array& array,
                  const std::vector<Index>& counts) {
    CheckpointManager manager(root(), options);
    SaveOptions overwriting;
    overwriting.overwrite = true;
    overwriting.force = true;
    EXPECT_TRUE(manager.save(0, in_parts(array, counts), overwriting).get());
    EXPECT_EQ(manager.restore(0).get().tree(), Tree(Dict{{"w", Tree(array)}}));
    manager.close().get();
    return inspect_step(options.engine, root() + "/0").get().items.at(0).leaves.at(0);
  }
};
CAIRN_ON_EVERY_BACKEND(LeafInParts);

TEST_P(LeafInParts, HasNoChunkThatStraddlesTwoOfThem) {
  const Array array = whole(3000);
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::zarr2}) {
    ManagerOptions given = options();
    given.layout = layout;
    EXPECT_EQ(stored(given, array, {1000, 1000, 1000}).chunk_shape, (Shape{1000, kColumns}));
    EXPECT_EQ(stored(given, array, {1000, 2000}).chunk_shape, (Shape{1000, kColumns}))
        << "the largest that divides both";
    EXPECT_EQ(stored(given, array, {2000, 1000}).chunk_shape, (Shape{2000, kColumns}))
        << "the last chunk may be shorter";
    EXPECT_EQ(stored(given, array, {3000}).chunk_shape, (Shape{3000, kColumns}));
  }
}

TEST_P(LeafInParts, IsDividedFinerWhereStepsShareData) {
  ManagerOptions given = options();
  given.incremental = true;
  const LeafInfo info = stored(given, whole(3000), {1000, 1000, 1000});
  EXPECT_EQ(info.chunk_shape, (Shape{250, kColumns}));
  EXPECT_EQ(info.chunks, 12u);
}

TEST_P(LeafInParts, WithoutACommonDivisionIsChunkedAsAnyArray) {
  EXPECT_EQ(stored(options(), whole(3000), {1000, 1001, 999}).chunk_shape, (Shape{3000, kColumns}));
}

TEST_P(LeafInParts, MayEndInTheLastChunk) {
  const LeafInfo info = stored(options(), whole(2001), {1000, 1001});
  EXPECT_EQ(info.chunk_shape, (Shape{1000, kColumns}));
  EXPECT_EQ(info.chunks, 3u);
}

}  // namespace
}  // namespace cairn
