// Restores into arrays of other shapes: cut off, and filled up with zeros, over several chunks.

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "manager/restore_samples.h"
#include "support/seed.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

class RestoreShapes : public RestoreTest {
 protected:
  /// The one array of step 0 in another shape and dtype.
  static Tree restore_as(CheckpointManager& manager, Tree leaf) {
    args::StandardRestore how(Tree(Dict{{"w", std::move(leaf)}}));
    how.strict = false;
    return manager.restore(0, std::move(how)).get().tree().at("w");
  }
};
CAIRN_ON_EVERY_BACKEND(RestoreShapes);

TEST_P(RestoreShapes, EveryShapeOfItsRankIsCutOffAndFilledUp) {
  std::mt19937_64 random(make_seed());
  ManagerOptions options = given();
  options.incremental = true;  // chunks of 128 KiB
  for (const Shape& shape : {Shape{90'001}, Shape{211, 503}, Shape{7, 50, 301}}) {
    CheckpointManager manager(fresh_root(), options);
    const Array w = normal_float32(shape, 3);
    ASSERT_TRUE(manager.save(0, Dict{{"w", w}}).get());
    for (int round = 0; round < 12; ++round) {
      Shape other = shape;
      for (Index& extent : other) {
        const Index by = 1 + static_cast<Index>(random() % static_cast<std::uint64_t>(extent));
        if (random() % 3 != 0) extent += random() % 2 == 0 ? -by : by / 2;
      }
      const DType dtype = round % 2 == 0 ? DType::float32 : DType::float16;
      const Array expected = cast_array(reshaped(w, other), dtype);
      EXPECT_EQ(restore_as(manager, LeafSpec(dtype, other)), Tree(expected)) << round;
      Array memory(dtype, other);
      std::ranges::fill(memory.bytes(), std::byte{0x7b});
      EXPECT_EQ(restore_as(manager, MutableArrayView(memory)), Tree(expected)) << round;
    }
  }
}

TEST_P(RestoreShapes, OnlyTheChunksThatAreNeededAreRead) {
  ManagerOptions options = given();
  options.incremental = true;
  CheckpointManager manager(root(), options);
  const Array w = normal_float32({4096, 1024}, 3);  // 16 MiB in chunks of 128 KiB
  ASSERT_TRUE(manager.save(0, Dict{{"w", w}}).get());
  const std::uint64_t before = engine()->stats().bytes_read;
  EXPECT_EQ(restore_as(manager, LeafSpec(DType::float32, {100, 1024})),
            Tree(reshaped(w, {100, 1024})));
  EXPECT_LT(engine()->stats().bytes_read - before, 2u << 20);
}

TEST_P(RestoreShapes, ShardsAndChunksThatAreNotThereAreCutOffFilledUpAndCast) {
  const std::string item = root() + "/item";
  zarr::ArrayMetadata sharded = sharded_array(DType::int16, {20, 30}, {8, 12}, {4, 6});
  zarr::ArrayMetadata sparse = raw_array(DType::float32, {9, 9}, {4, 4});
  const float fill = 2.5f;
  sparse.fill_value = {reinterpret_cast<const std::byte*>(&fill),
                       reinterpret_cast<const std::byte*>(&fill) + 4};
  const Array w = counting(DType::int16, {20, 30});
  write_array(item + "/w", sharded, w);
  write_file(item + "/s/zarr.json", zarr::encode_metadata(sparse));
  Array s(DType::float32, {9, 9});
  for (float& value : s.values<float>()) value = fill;
  const Shape less = {11, 17}, more = {25, 31};
  for (const Shape& shape : {less, more}) {
    args::StandardRestore how(
        Tree(Dict{{"w", LeafSpec(DType::float64, shape)}, {"s", LeafSpec(DType::int8, shape)}}));
    how.strict = false;
    // A directory of zarr arrays as an item of a step.
    CheckpointManager manager(root() + "_steps", given());
    const std::string step = root() + "_steps/" + std::to_string(shape[0]);
    std::filesystem::create_directories(step);
    std::filesystem::copy(item, step + "/item", std::filesystem::copy_options::recursive);
    Restored restored =
        manager.restore(shape[0], args::CompositeRestore{{"item", std::move(how)}}).get();
    EXPECT_EQ(restored.tree().at("w"), Tree(cast_array(reshaped(w, shape), DType::float64)));
    EXPECT_EQ(restored.tree().at("s"), Tree(cast_array(reshaped(s, shape), DType::int8)));
  }
}

TEST_P(RestoreShapes, ArraysWithoutElementsAreFilledUpAndCutOffToNone) {
  CheckpointManager manager(root(), given());
  const Dict saved{{"none", Array(DType::float32, {0, 4})},
                   {"some", counting(DType::int8, {3, 4})}};
  ASSERT_TRUE(manager.save(0, saved).get());
  args::StandardRestore how(Tree(
      Dict{{"none", LeafSpec(DType::float32, {2, 3})}, {"some", LeafSpec(DType::int8, {0, 9})}}));
  how.strict = false;
  const Tree tree = manager.restore(0, how).get().tree();
  EXPECT_EQ(tree.at("none"), Tree(Array(DType::float32, {2, 3})));
  EXPECT_EQ(tree.at("some"), Tree(Array(DType::int8, {0, 9})));
  how.strict = true;
  how.target = Tree(Dict{{"none", LeafSpec(DType::int8, {0, 4})}, {"some", LeafSpec()}});
  EXPECT_EQ(manager.restore(0, how).get().tree().at("none"), Tree(Array(DType::int8, {0, 4})));
}

TEST_P(RestoreShapes, AnotherRankAndAShapeThatNoMachineHoldsAreErrors) {
  CheckpointManager manager(root(), given());
  ASSERT_TRUE(manager.save(0, Dict{{"w", counting(DType::float32, {6})}}).get());
  Error error = error_of([&] {
    static_cast<void>(restore_as(manager, LeafSpec(DType::float32, {2, 3})));
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("w: saved float32[6], target float32[2, 3]"));
  error = error_of(
      [&] { static_cast<void>(restore_as(manager, LeafSpec(DType::float32, {Index{1} << 50}))); });
  EXPECT_EQ(error.code(), ErrorCode::resource_exhausted);
  EXPECT_THAT(error.what(), HasSubstr("more than the memory that this process may have"));
}

}  // namespace
}  // namespace cairn::test
