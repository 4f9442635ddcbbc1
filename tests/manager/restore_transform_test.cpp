// Restores by rules: leaves of the target that take other saved leaves than those of their path.

#include <gmock/gmock.h>

#include <stdexcept>

#include "manager/restore_samples.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

Tree doubled(Tree value) {
  for (float& element : value.as<Array>().values<float>()) element *= 2;
  return value;
}

/// All values one after the other.
Tree concatenated(std::string_view, const Dict& values) {
  std::vector<float> all;
  for (const auto& [key, value] : values) {
    const auto more = value.as<Array>().values<float>();
    all.insert(all.end(), more.begin(), more.end());
  }
  const auto size = static_cast<Index>(all.size());
  return Array::from(std::span<const float>(all), {size});
}

class RestoreTransform : public RestoreTest {
 protected:
  /// A model of two layers.
  [[nodiscard]] static Dict model() {
    Dict layers;
    for (int i = 0; i < 2; ++i) {
      layers[std::to_string(i)] =
          Tree(Dict{{"w", normal_float32({300, 201}, static_cast<std::uint64_t>(i))},
                    {"b", counting(DType::float32, {4})}});
    }
    return Dict{{"layers", std::move(layers)}, {"step", 7}, {"name", "old"}};
  }
  CheckpointManager manager_{root(), given()};
  void SetUp() override { ASSERT_TRUE(manager_.save(0, args::PyTreeSave(model())).get()); }
  Tree restore(Tree target, std::vector<TransformRule> rules,
               Unmatched unmatched = Unmatched::saved) {
    args::PyTreeRestore how(std::move(target));
    how.transforms = std::move(rules);
    how.unmatched = unmatched;
    return manager_.restore(0, std::move(how)).get().tree();
  }
  [[nodiscard]] static Array weights(int layer) {
    return model().at("layers").at(std::to_string(layer)).at("w").as<Array>();
  }
};
CAIRN_ON_EVERY_BACKEND(RestoreTransform);

TEST_P(RestoreTransform, ARenamedLeafIsCastIntoItsPlace) {
  Array memory(DType::bfloat16, {300, 201});
  const Dict target{{"block_0", Dict{{"w", MutableArrayView(memory)}}},
                    {"block_1", Dict{{"w", LeafSpec(DType::float32, {300, 201})}}},
                    {"count", 0.0},
                    {"label", ""}};
  const Tree tree = restore(
      target, {TransformRule::rename(R"(block_(\d)/(.*))", "layers/$1/$2"),
               TransformRule::rename("count", "step"), TransformRule::rename("label", "name")});
  EXPECT_EQ(memory, cast_array(weights(0), DType::bfloat16));
  EXPECT_EQ(tree.at("block_1").at("w"), Tree(weights(1)));
  EXPECT_EQ(tree.at("count"), Tree(7.0));
  EXPECT_EQ(tree.at("label"), Tree("old"));
}

TEST_P(RestoreTransform, AFunctionGetsTheSavedValueAndItsResultIsCast) {
  const Dict target{{"layers", Dict{{"0", Dict{{"w", LeafSpec(DType::float16, {300, 201})}}}}},
                    {"step", LeafSpec()}};
  const Tree tree = restore(
      target, {TransformRule::apply(".*w", doubled), TransformRule::apply("step", [](Tree value) {
                 return Tree(value.as<std::int64_t>() + 1);
               })});
  EXPECT_EQ(tree.at("layers").at("0").at("w"),
            Tree(cast_array(doubled(weights(0)).as<Array>(), DType::float16)));
  EXPECT_EQ(tree.at("step").as<std::int64_t>(), 8);
}

TEST_P(RestoreTransform, SeveralLeavesMakeOne) {
  const Dict target{{"biases", Array(DType::float32, {8})}};
  const Tree tree = restore(
      target, {TransformRule::combine("biases", {"layers/0/b", "layers/1/b"}, concatenated)});
  const std::vector<float> expected = {0, 1, 2, 3, 0, 1, 2, 3};
  EXPECT_EQ(tree.at("biases"), Tree(Array::from(std::span<const float>(expected), {8})));
}

TEST_P(RestoreTransform, LeavesKeepTheTargetsValueWhereTheyAreToldTo) {
  const Dict target{{"step", 3}, {"new", counting(DType::int8, {2})}};
  EXPECT_EQ(restore(target, {TransformRule::fallback("step")}), Tree(target));
  EXPECT_EQ(restore(target, {}, Unmatched::target), Tree(target));
  const Tree taken = restore(target, {TransformRule::fallback("step")}, Unmatched::target);
  EXPECT_EQ(taken, Tree(Dict{{"step", 7}, {"new", counting(DType::int8, {2})}}));
  const Error error = error_of([&] {
    static_cast<void>(restore(Dict{{"step", LeafSpec()}}, {TransformRule::fallback("step")}));
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().key_path, "step");
  EXPECT_THAT(error.what(), HasSubstr("no value of its own"));
}

TEST_P(RestoreTransform, ShapesOfRenamedAndOfMadeValuesAreChecked) {
  const Dict target{{"a", LeafSpec(DType::float32, {4, 2})}, {"b", LeafSpec(DType::float32, {2})}};
  const std::vector<TransformRule> rules = {TransformRule::rename("a", "layers/0/w"),
                                            TransformRule::rename("b", "layers/0/b", doubled)};
  Error error = error_of([&] { static_cast<void>(restore(target, rules)); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("a: saved float32[300, 201], target float32[4, 2]"));
  error = error_of([&] {
    static_cast<void>(restore(Dict{{"b", LeafSpec(DType::float32, {2})}}, {rules[1]}));
  });
  EXPECT_EQ(error.context().key_path, "b");
  EXPECT_THAT(error.what(), HasSubstr("it gave float32[4], the target has float32[2]"));
  args::PyTreeRestore loose{Tree(target)};
  loose.transforms = rules;
  loose.strict = false;
  const Tree tree = manager_.restore(0, loose).get().tree();
  EXPECT_EQ(tree.at("a"), Tree(reshaped(weights(0), {4, 2})));
  const std::vector<float> made = {0, 2};
  EXPECT_EQ(tree.at("b"), Tree(Array::from(std::span<const float>(made), {2})));
}

TEST_P(RestoreTransform, WhatAFunctionThrowsAndWhatCannotBeALeafAreErrors) {
  const auto fail = [](Tree) -> Tree { throw std::runtime_error("no luck"); };
  Error error = error_of([&] {
    static_cast<void>(restore(Dict{{"step", 0}}, {TransformRule::apply("step", fail)}));
  });
  EXPECT_EQ(error.context().key_path, "step");
  EXPECT_THAT(error.what(), HasSubstr("transform rule \"step\" failed: no luck"));
  const auto contain = [](Tree value) { return Tree(Dict{{"x", std::move(value)}}); };
  error = error_of([&] {
    static_cast<void>(restore(Dict{{"step", 0}}, {TransformRule::apply("step", contain)}));
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("cannot be used: a dict of 1 is no leaf"));
  error = error_of([&] {
    static_cast<void>(restore(Dict{{"x", 0}}, {TransformRule::rename("x", "layers/9/w")}));
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("layers/9/w"));
}

TEST_P(RestoreTransform, WhatRulesLeaveUnusedIsNotRead) {
  CheckpointManager manager(fresh_root(), given());
  const Array big = normal_float32({1 << 21}, 1);
  ASSERT_TRUE(manager.save(0, Dict{{"big", big}, {"small", 5}}).get());
  const std::uint64_t before = engine()->stats().bytes_read;
  args::PyTreeRestore how(Tree(Dict{{"n", 0}}));
  how.transforms.push_back(TransformRule::rename("n", "small"));
  EXPECT_EQ(manager.restore(0, how).get().tree(), Tree(Dict{{"n", 5}}));
  EXPECT_LT(engine()->stats().bytes_read - before, 1u << 20);
}

TEST_P(RestoreTransform, ManySourcesAreReadInBatches) {
  CheckpointManager manager(fresh_root(), given());
  Dict saved, target, expected;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "w" + std::to_string(i);
    const Array w = normal_float32({6 << 20}, static_cast<std::uint64_t>(i));  // 24 MiB
    saved[name] = Tree(w);
    target[name] = Tree(LeafSpec());
    expected[name] = doubled(Tree(w));
  }
  ASSERT_TRUE(manager.save(0, std::move(saved)).get());
  args::PyTreeRestore how(Tree(std::move(target)));
  how.transforms.push_back(TransformRule::apply("w.", doubled));
  EXPECT_EQ(manager.restore(0, how).get().tree(), Tree(std::move(expected)));
}

}  // namespace
}  // namespace cairn::test
