// Behaviours: what a target makes of a restore.

#include <cairn/codecs/cast.h>

#include "behaviours/behaviour.h"

namespace cairn {
namespace {

using ::testing::HasSubstr;

Array as_type(const Array& array, DType dtype) {
  Array out = Array::uninitialized(dtype, array.shape());
  cast(array.bytes(), array.dtype(), out.bytes(), dtype);
  return out;
}

// test_partial_restore_with_placeholder
CAIRN_BEHAVIOUR(B076);
TEST_P(B076, PlaceholdersComeBackAndTheOtherLeavesAreLoaded) {
  CheckpointManager manager(root(), given());
  const Array w = state(4).at("w").as<Array>();
  EXPECT_TRUE(
      manager.save(0, Dict{{"a", w}, {"b", Dict{{"c", w}, {"d", 3}}}, {"e", List{1, 2}}}).get());
  const Dict target{{"a", Placeholder()},
                    {"b", Dict{{"c", LeafSpec(DType::float32, {3, 5})}, {"d", Placeholder()}}},
                    {"e", List{0, Placeholder()}}};
  EXPECT_EQ(manager.restore(0, target).get().tree(),
            Tree(Dict{{"a", Placeholder()},
                      {"b", Dict{{"c", w}, {"d", Placeholder()}}},
                      {"e", List{1, Placeholder()}}}));
}

// test_partial_restore_with_omission
CAIRN_BEHAVIOUR(B077);
TEST_P(B077, APartialRestoreHasTheTargetsKeysAlone) {
  CheckpointManager manager(root(), given());
  const Array w = state(4).at("w").as<Array>();
  EXPECT_TRUE(manager.save(0, Dict{{"a", w}, {"b", Dict{{"c", w}, {"d", 3}}}, {"e", 1}}).get());
  const Dict leaf{{"b", Dict{{"c", LeafSpec()}}}, {"e", 0}};
  const Dict node{{"a", LeafSpec()}};
  for (const Dict& target : {leaf, node}) {
    args::PyTreeRestore how{Tree(target)};
    EXPECT_THAT(error_of([&] { static_cast<void>(manager.restore(0, how).get()); }).what(),
                HasSubstr("not in the target"));
    how.partial_restore = true;
    Dict expected{{"b", Dict{{"c", w}}}, {"e", 1}};
    if (target.find("a") != nullptr) expected = Dict{{"a", w}};
    EXPECT_EQ(manager.restore(0, how).get().tree(), Tree(expected));
  }
}

// test_change_shape, test_reshape_padding
CAIRN_BEHAVIOUR(B104);
TEST_P(B104, AnotherShapeIsAnErrorOrIsCutOffOrFilledUp) {
  CheckpointManager manager(root(), given());
  const std::vector<std::int32_t> numbers = {1, 2, 3, 4, 5, 6};
  EXPECT_TRUE(
      manager.save(0, Dict{{"w", Array::from(std::span<const std::int32_t>(numbers), {2, 3})}})
          .get());
  args::StandardRestore how(Tree(Dict{{"w", LeafSpec(DType::int32, {3, 2})}}));
  const Error error = error_of([&] { static_cast<void>(manager.restore(0, how).get()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("w: saved int32[2, 3], target int32[3, 2]"));
  how.strict = false;
  const std::vector<std::int32_t> expected = {1, 2, 4, 5, 0, 0};
  EXPECT_EQ(manager.restore(0, how).get().tree().at("w"),
            Tree(Array::from(std::span<const std::int32_t>(expected), {3, 2})));
}

// test_cast
CAIRN_BEHAVIOUR(B107);
TEST_P(B107, ASaveCastsAndTheTargetCasts) {
  CheckpointManager manager(root(), given());
  Array w(DType::float64, {3, 5});
  for (double& value : w.values<double>()) value = 0.1;
  args::StandardSave save(Tree(Dict{{"w", w}, {"n", 7}, {"x", 0.5}}));
  save.cast = DType::float32;
  EXPECT_TRUE(manager.save(0, std::move(save)).get());
  const Tree metadata = manager.restore(0, args::LazyRestore()).get().lazy().tree();
  EXPECT_EQ(metadata.at("w").as<Array>().dtype(), DType::float32);
  const ItemMetadata item = manager.item_metadata(0).get().only();
  ASSERT_TRUE(item.tree);
  EXPECT_EQ(item.tree->at("w"), Tree(LeafSpec(DType::float32, {3, 5})));
  const Array stored = as_type(w, DType::float32);
  EXPECT_EQ(manager.restore(0).get().tree(), Tree(Dict{{"w", stored}, {"n", 7}, {"x", 0.5}}));
  const Dict target{{"w", LeafSpec(DType::bfloat16, {3, 5})}, {"n", 0}, {"x", 0}};
  const Tree tree = manager.restore(0, target).get().tree();
  EXPECT_EQ(tree.at("w"), Tree(as_type(stored, DType::bfloat16)));
  EXPECT_EQ(tree.at("n").as<std::int64_t>(), 7);
  EXPECT_EQ(tree.at("x").as<std::int64_t>(), 0);
}

// test_custom_metadata
CAIRN_BEHAVIOUR(B110);
TEST_P(B110, ATreesCustomMetadataComeBack) {
  CheckpointManager manager(root(), given());
  const boost::json::object custom{{"tokenizer", "bpe"}, {"sizes", {1, 2}}};
  args::PyTreeSave save(Tree(state(0)));
  save.custom_metadata = custom;
  EXPECT_TRUE(manager.save(0, std::move(save)).get());
  EXPECT_EQ(manager.restore(0, args::LazyRestore()).get().lazy().custom_metadata(), custom);
  EXPECT_EQ(manager.metadata(0).get().item_metadata.only().custom_metadata, custom);
  EXPECT_EQ(manager.item_metadata(0).get().only().custom_metadata, custom);
  EXPECT_THAT(read_text("0/default/_METADATA"), HasSubstr(R"("tokenizer")"));
  EXPECT_TRUE(manager.save(1, state(1)).get());
  EXPECT_TRUE(manager.restore(1, args::LazyRestore()).get().lazy().custom_metadata().empty());
}

}  // namespace
}  // namespace cairn
