// Restores into a target: dtypes, places and shapes that the target says.

#include <cairn/codecs/cast.h>
#include <gmock/gmock.h>

#include <numeric>

#include "manager/restore_samples.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

class RestoreTarget : public RestoreTest {};
CAIRN_ON_EVERY_BACKEND(RestoreTarget);

struct Pair {
  DType from;
  DType to;
};
const std::vector<Pair> kPairs = {
    {DType::float32, DType::bfloat16},
    {DType::bfloat16, DType::float32},
    {DType::float64, DType::float16},
    {DType::float32, DType::int32},
    {DType::int64, DType::int8},
    {DType::uint8, DType::float64},
    {DType::float32, DType::float8_e4m3fn},
    {DType::float8_e5m2, DType::float32},
    {DType::complex64, DType::float32},
    {DType::boolean, DType::int16},
    {DType::int4, DType::bfloat16},
    {DType::uint64, DType::uint64},
};

TEST_P(RestoreTarget, ElementsAreCastInEveryLayoutAndCodec) {
  for (const Layout layout :
       {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3, Layout::zarr2}) {
    for (const Codec codec : {Codec::zstd(1), Codec::raw(), Codec::automatic()}) {
      if (layout != Layout::ocdbt_zarr3 && codec.kind() != Codec::Kind::zstd) continue;
      SCOPED_TRACE(to_string(codec) + " " + std::to_string(static_cast<int>(layout)));
      ManagerOptions options = given();
      options.layout = layout;
      options.codec = codec;
      CheckpointManager manager(fresh_root(), options);
      Dict saved, target, expected;
      for (const Pair& pair : kPairs) {
        for (const Shape& shape : {Shape{5}, Shape{37, 211}, Shape{2, 300, 701}}) {
          const std::string name = std::string(name_of(pair.from)) + std::to_string(shape.size());
          Array array = bytes_of_every_kind(pair.from, shape, 7);
          expected[name] = Tree(cast_array(array, pair.to));
          saved[name] = Tree(std::move(array));
          target[name] = Tree(LeafSpec(pair.to, shape));
        }
      }
      ASSERT_TRUE(manager.save(0, std::move(saved)).get());
      EXPECT_EQ(manager.restore(0, std::move(target)).get().tree(), Tree(std::move(expected)));
    }
  }
}

TEST_P(RestoreTarget, WhatASpecLeavesOpenIsAsSaved) {
  CheckpointManager manager(root(), given());
  const Array w = counting(DType::float32, {3, 4});
  const Dict saved{{"w", w}, {"v", w}, {"u", w}, {"n", 7}, {"x", 0.5}};
  ASSERT_TRUE(manager.save(0, saved).get());
  const Dict target{{"w", LeafSpec()},
                    {"v", LeafSpec(DType::int16)},
                    {"u", LeafSpec(std::nullopt, Shape{3, 4})},
                    {"n", LeafSpec()},
                    {"x", LeafSpec(DType::float32)}};
  const Dict expected{
      {"w", w}, {"v", cast_array(w, DType::int16)}, {"u", w}, {"n", 7}, {"x", Array::scalar(0.5f)}};
  EXPECT_EQ(manager.restore(0, target).get().tree(), Tree(expected));
}

TEST_P(RestoreTarget, NumbersKeepTheTargetsKind) {
  CheckpointManager manager(root(), given());
  ASSERT_TRUE(manager
                  .save(0, Dict{{"i", 3.75},
                                {"f", 3},
                                {"u", 5},
                                {"b", 2},
                                {"s", Array::scalar(bfloat16_t{0x3fc0})},
                                {"a", 9}})
                  .get());
  const Dict target{{"i", 0},     {"f", 0.0}, {"u", std::uint64_t{0}},
                    {"b", false}, {"s", 0.0}, {"a", Array(DType::int8, {})}};
  const Tree tree = manager.restore(0, target).get().tree();
  EXPECT_EQ(tree.at("i").as<std::int64_t>(), 3);
  EXPECT_EQ(tree.at("f").as<double>(), 3.0);
  EXPECT_EQ(tree.at("u").as<std::uint64_t>(), 5u);
  EXPECT_EQ(tree.at("b").as<bool>(), true);
  EXPECT_EQ(tree.at("s").as<double>(), 1.5);
  EXPECT_EQ(tree.at("a"), Tree(Array::scalar(std::int8_t{9})));
}

TEST_P(RestoreTarget, ArraysOfTheTargetAreFilledWhereTheyAre) {
  CheckpointManager manager(root(), given());
  const Array w = counting(DType::float32, {700, 900});
  ASSERT_TRUE(manager.save(0, Dict{{"w", w}, {"v", w}}).get());
  Array same(DType::float32, {700, 900});
  Array narrow(DType::bfloat16, {700, 900});
  const std::byte* const places[] = {same.bytes().data(), narrow.bytes().data()};
  Restored restored =
      manager.restore(0, Dict{{"w", std::move(same)}, {"v", std::move(narrow)}}).get();
  EXPECT_EQ(restored.tree().at("w"), Tree(w));
  EXPECT_EQ(restored.tree().at("v"), Tree(cast_array(w, DType::bfloat16)));
  EXPECT_EQ(restored.tree().at("w").as<Array>().bytes().data(), places[0]);
  EXPECT_EQ(restored.tree().at("v").as<Array>().bytes().data(), places[1]);
}

/// Strides of a few kinds, in elements.
std::vector<std::vector<Index>> layouts_of(Index rows, Index columns) {
  return {{columns, 1}, {1, rows}, {2 * columns, 2}, {columns + 3, 1}, {-columns, -1}};
}

TEST_P(RestoreTarget, ElementsGoToTheCallersMemoryByItsStrides) {
  constexpr Index kRows = 600, kColumns = 501;
  ManagerOptions options = given();
  options.incremental = true;  // chunks of 128 KiB
  options.codec = Codec::zstd(1);
  CheckpointManager manager(root(), options);
  const Array w = counting(DType::float32, {kRows, kColumns});
  ASSERT_TRUE(manager.save(0, Dict{{"w", w}}).get());
  for (const DType dtype : {DType::float32, DType::float64}) {
    const Array expected = cast_array(w, dtype);
    const auto size = static_cast<Index>(size_of(dtype));
    for (const std::vector<Index>& strides : layouts_of(kRows, kColumns)) {
      // One byte too far, so that nothing is aligned, and something to see at both ends.
      constexpr std::byte kMark{0xa5};
      std::vector<std::byte> memory(static_cast<std::size_t>(2 * kRows * (kColumns + 3) * size) + 9,
                                    kMark);
      const Index last = (kRows - 1) * std::min<Index>(strides[0], 0) +
                         (kColumns - 1) * std::min<Index>(strides[1], 0);
      std::byte* const first = memory.data() + 1 - last * size;
      const MutableArrayView view(dtype, {kRows, kColumns}, first,
                                  {strides[0] * size, strides[1] * size});
      Restored restored = manager.restore(0, Dict{{"w", view}}).get();
      EXPECT_EQ(restored.tree().at("w"), Tree(expected));
      EXPECT_EQ(restored.tree().at("w").as<MutableArrayView>().data(), first);
      EXPECT_EQ(memory.front(), kMark);
      EXPECT_EQ(memory.back(), kMark);
      if (strides[1] != 2) continue;
      for (Index i = 0; i < size; ++i) EXPECT_EQ(first[size + i], kMark) << "between two elements";
    }
  }
}

TEST_P(RestoreTarget, OneTreeOfMemoryIsSavedAndRestored) {
  CheckpointManager manager(root(), given());
  Array w = counting(DType::float32, {300, 300});
  Array b = counting(DType::int32, {4});
  const Array before[] = {w, b};
  const Tree model(Dict{{"w", MutableArrayView(w)}, {"l", List{MutableArrayView(b)}}});
  ASSERT_TRUE(manager.save(0, model).get());
  for (float& value : w.values<float>()) value = -1;
  for (std::int32_t& value : b.values<std::int32_t>()) value = -1;
  manager.restore(0, model).get();
  EXPECT_EQ(w, before[0]);
  EXPECT_EQ(b, before[1]);
}

TEST_P(RestoreTarget, ContainersAndTheOrderOfKeysAreTheTargets) {
  CheckpointManager manager(root(), given());
  const Dict saved{{"a", 1}, {"t", Tuple{1, 2}}, {"l", List{3}}, {"e", Dict()}, {"z", Null()}};
  ASSERT_TRUE(manager.save(0, saved).get());
  const Dict target{{"z", Null()}, {"t", List{0, 0}}, {"l", Tuple{0}}, {"e", Dict()}, {"a", 0}};
  const Tree tree = manager.restore(0, target).get().tree();
  EXPECT_EQ(tree,
            Tree(Dict{{"z", Null()}, {"t", List{1, 2}}, {"l", Tuple{3}}, {"e", Dict()}, {"a", 1}}));
  EXPECT_EQ(tree.as<Dict>().begin()->first, "z");
}

TEST_P(RestoreTarget, PlaceholdersComeBackAndWhatTheyStandForIsNotRead) {
  CheckpointManager manager(root(), given());
  const Array big = counting(DType::float32, {1 << 20});
  const Array small = counting(DType::float32, {50'000});
  ASSERT_TRUE(
      manager.save(0, Dict{{"big", big}, {"below", Dict{{"x", big}, {"y", 1}}}, {"w", small}})
          .get());
  const std::uint64_t before = engine()->stats().bytes_read;
  const Dict target{{"big", Placeholder()}, {"below", Placeholder()}, {"w", LeafSpec()}};
  const Tree tree = manager.restore(0, target).get().tree();
  EXPECT_EQ(tree, Tree(Dict{{"big", Placeholder()}, {"below", Placeholder()}, {"w", small}}));
  EXPECT_LT(engine()->stats().bytes_read - before, 300'000u);
}

TEST_P(RestoreTarget, APartialRestoreTakesTheTargetsKeysAlone) {
  CheckpointManager manager(root(), given());
  const Array big = counting(DType::float32, {1 << 20});
  ASSERT_TRUE(
      manager.save(0, Dict{{"a", Dict{{"x", 1}, {"y", big}}}, {"b", List{1, 2}}, {"c", big}})
          .get());
  const std::uint64_t before = engine()->stats().bytes_read;
  args::StandardRestore part(Tree(Dict{{"a", Dict{{"x", 0}}}, {"b", List{0, 0}}}));
  part.partial_restore = true;
  EXPECT_EQ(manager.restore(0, part).get().tree(),
            Tree(Dict{{"a", Dict{{"x", 1}}}, {"b", List{1, 2}}}));
  EXPECT_LT(engine()->stats().bytes_read - before, 1u << 20);
  part.target->as<Dict>()["d"] = Tree(1);
  EXPECT_THAT(error_of([&] { manager.restore(0, part).get(); }).reason(),
              HasSubstr("1 key path of the target is not saved:\n  d"));
}

TEST_P(RestoreTarget, WhatDoesNotFitIsOneErrorThatNamesAllOfIt) {
  CheckpointManager manager(root(), given());
  const Dict saved{{"w", counting(DType::float32, {2, 3})},
                   {"v", counting(DType::float8_e4m3fn, {4})},
                   {"old", 1},
                   {"d", Dict{{"x", 1}}},
                   {"s", counting(DType::float32, {2})}};
  ASSERT_TRUE(manager.save(0, saved).get());
  const Dict target{{"w", LeafSpec(DType::float32, {3, 2})},
                    {"v", LeafSpec(DType::float8_e8m0fnu, {4})},
                    {"new", 1},
                    {"d", List{1}},
                    {"s", 1.5}};
  const std::uint64_t before = engine()->stats().bytes_read;
  static_cast<void>(before);
  const Error error = error_of([&] { manager.restore(0, target).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().item, "default");
  EXPECT_THAT(error.what(), HasSubstr("1 key path of the target is not saved:\n"
                                      "  new\n"
                                      "1 saved key path is not in the target:\n"
                                      "  old\n"
                                      "4 key paths differ:\n"
                                      "  w: saved float32[2, 3], target float32[3, 2]\n"
                                      "  v: saved float8_e4m3fn[4], target float8_e8m0fnu[4]\n"
                                      "  d: saved a dict of 1, target a list of 1\n"
                                      "  s: saved float32[2], target float64[]"));
}

TEST_P(RestoreTarget, RefusesWhatContradictsItself) {
  CheckpointManager manager(root(), given());
  ASSERT_TRUE(manager.save(0, args::PyTreeSave(Dict{{"w", 1}, {"s", "text"}})).get());
  args::StandardRestore both(Tree(Dict{{"w", 0}}));
  both.selection.emplace_back("w");
  EXPECT_THAT(error_of([&] { manager.restore(0, both).get(); }).what(),
              HasSubstr("a target or a selection"));
  args::StandardRestore nothing;
  nothing.partial_restore = true;
  EXPECT_THAT(error_of([&] { manager.restore(0, nothing).get(); }).what(),
              HasSubstr("partial_restore needs a target"));
  args::PyTreeRestore rules;
  rules.transforms.push_back(TransformRule::rename("a", "b"));
  EXPECT_THAT(error_of([&] { manager.restore(0, rules).get(); }).what(),
              HasSubstr("transforms need a target"));
}

TEST_P(RestoreTarget, StringsFillStringsOfAPyTreesTarget) {
  CheckpointManager manager(root(), given());
  ASSERT_TRUE(manager.save(0, args::PyTreeSave(Dict{{"w", 1}, {"s", "text"}})).get());
  const Tree expected(Dict{{"w", 1}, {"s", "text"}});
  EXPECT_EQ(manager.restore(0, args::PyTreeRestore(Dict{{"w", 0}, {"s", ""}})).get().tree(),
            expected);
  EXPECT_EQ(manager.restore(0, Dict{{"w", 0}, {"s", LeafSpec()}}).get().tree(), expected);
  const Error error = error_of([&] { manager.restore(0, Dict{{"w", 0}, {"s", ""}}).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().key_path, "s");
  EXPECT_THAT(error.what(), HasSubstr("PyTreeRestore"));
  // A string in braces is a target, whoever meant a path.
  const args::StandardRestore meant_as_path{{"w"}};
  EXPECT_THAT(error_of([&] { manager.restore(0, meant_as_path).get(); }).what(),
              HasSubstr("args::Selection"));
}

TEST_P(RestoreTarget, ItemsOfAStepAndOfAnotherDirectoryAreTrees) {
  CheckpointManager manager(root(), given());
  args::Composite items;
  items.add("params", args::StandardSave(Dict{{"w", counting(DType::float32, {9})}}));
  items.add("opt", args::StandardSave(Dict{{"n", 4}}));
  ASSERT_TRUE(manager.save(3, std::move(items)).get());
  CheckpointManager other(fresh_root(), given());
  RestoreOptions there;
  there.directory = root();
  const args::CompositeRestore targets{{"params", Tree(Dict{{"w", LeafSpec(DType::int8, {9})}})},
                                       {"opt", Tree(Dict{{"n", 0.0}})}};
  Restored restored = other.restore(std::nullopt, targets, there).get();
  EXPECT_EQ(restored.tree("params").at("w"),
            Tree(cast_array(counting(DType::float32, {9}), DType::int8)));
  EXPECT_EQ(restored.tree("opt").at("n"), Tree(4.0));
  EXPECT_EQ(error_of([&] { other.restore(3, Dict{{"w", 1}}).get(); }).code(), ErrorCode::not_found);
}

TEST_P(RestoreTarget, DamageInWhatIsWantedIsFoundAndInTheRestIsNot) {
  CheckpointManager manager(root(), given());
  const Array good = normal_float32({50'000}, 1);
  const Array bad = normal_float32({60'000}, 2);
  ASSERT_TRUE(manager.save(0, Dict{{"good", good}, {"bad", bad}}).get());
  damage(root() + "/0", bad.bytes().subspan(80'000, 100));
  std::vector<float> memory(60'000);
  const auto view = MutableArrayView::of(std::span<float>(memory), {60'000});
  const Error error = error_of([&] {
    manager.restore(0, Dict{{"good", LeafSpec()}, {"bad", view}}).get();
  });
  EXPECT_EQ(error.code(), ErrorCode::data_loss);
  EXPECT_EQ(error.context().key_path, "bad");
  EXPECT_EQ(manager.restore(0, Dict{{"good", LeafSpec()}, {"bad", Placeholder()}})
                .get()
                .tree()
                .at("good"),
            Tree(good));
}

}  // namespace
}  // namespace cairn::test
