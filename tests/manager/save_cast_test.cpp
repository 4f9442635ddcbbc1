// Saves that store arrays in another dtype, and metadata of a tree.

#include <gmock/gmock.h>

#include "manager/restore_samples.h"
#include "support/array_source.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

class SaveCast : public RestoreTest {};
CAIRN_ON_EVERY_BACKEND(SaveCast);

/// A view of every other element of every other row.
ArrayView strided(const Array& array) {
  const auto size = static_cast<Index>(size_of(array.dtype()));
  return ArrayView(array.dtype(), {array.shape()[0] / 2, array.shape()[1] / 2},
                   array.bytes().data(), {2 * array.shape()[1] * size, 2 * size});
}

Array dense(const ArrayView& view) {
  Array array = Array::uninitialized(view.dtype(), view.shape());
  copy_region(view, Shape(view.shape().size(), 0), view.shape(), array.bytes().data());
  return array;
}

TEST_P(SaveCast, ArraysAreCastWhileTheyAreCapturedInEveryLayoutAndCodec) {
  const Array big = normal_float32({2200, 2100}, 1);  // two chunks of 16 MiB
  const Array small = normal_float32({9, 7}, 2);
  const Array medium = normal_float32({300, 400}, 3);
  const ArrayView view = strided(medium);
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::zarr2}) {
    for (const Codec codec : {Codec::raw(), Codec::zstd(1), Codec::automatic()}) {
      for (const Capture capture : {Capture::copy, Capture::borrow}) {
        ManagerOptions options = given();
        options.layout = layout;
        options.codec = codec;
        CheckpointManager manager(fresh_root(), options);
        args::StandardSave save(Tree(
            Dict{{"big", ArrayView(big)}, {"small", small}, {"view", view}, {"n", 3}, {"x", 0.1}}));
        save.cast = DType::bfloat16;
        SaveOptions how;
        how.capture = capture;
        const SaveResult result = manager.save(0, std::move(save), how).get();
        EXPECT_EQ(result.bytes, 2u * (2200 * 2100 + 63 + 150 * 200) + 16);
        EXPECT_EQ(manager.restore(0).get().tree(),
                  Tree(Dict{{"big", cast_array(big, DType::bfloat16)},
                            {"small", cast_array(small, DType::bfloat16)},
                            {"view", cast_array(dense(view), DType::bfloat16)},
                            {"n", 3},
                            {"x", 0.1}}));
        EXPECT_TRUE(verify_step(engine(), manager.directory() + "/0").get().ok());
      }
    }
  }
}

TEST_P(SaveCast, AChooserDecidesByKeyPathAndTheTreeForTheRest) {
  CheckpointManager manager(root(), given());
  const Array w = normal_float32({100}, 1);
  args::PyTreeSave save(Tree(Dict{{"w", w}, {"v", w}, {"i", counting(DType::int64, {4})}}));
  save.cast = DType::float16;
  save.cast_for = [](const KeyPath& path, DType dtype) -> std::optional<DType> {
    if (to_string(path) == "w") return DType::bfloat16;
    return dtype == DType::int64 ? std::optional(dtype) : std::nullopt;
  };
  ASSERT_TRUE(manager.save(0, std::move(save)).get());
  EXPECT_EQ(manager.restore(0).get().tree(), Tree(Dict{{"w", cast_array(w, DType::bfloat16)},
                                                       {"v", cast_array(w, DType::float16)},
                                                       {"i", counting(DType::int64, {4})}}));
}

TEST_P(SaveCast, LeavesAreCastToo) {
  CheckpointManager manager(root(), given());
  const Array w = normal_float32({700, 500}, 1);
  args::StandardSave save(
      Tree(Dict{{"w", Leaf(DType::float32, {700, 500}, std::make_shared<ArraySource>(w))}}));
  save.cast = DType::float64;
  ASSERT_TRUE(manager.save(0, std::move(save)).get());
  EXPECT_EQ(manager.restore(0).get().tree().at("w"), Tree(cast_array(w, DType::float64)));
}

TEST_P(SaveCast, WhatCannotBeCastIsAnErrorThatNamesTheArray) {
  CheckpointManager manager(root(), given());
  args::StandardSave save(Tree(Dict{{"a", Dict{{"w", counting(DType::float8_e4m3fn, {4})}}}}));
  save.cast = DType::float8_e8m0fnu;
  const Error error = error_of([&] { static_cast<void>(manager.save(0, save).get()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().key_path, "a/w");
  EXPECT_THAT(error.what(), HasSubstr("float8_e4m3fn cannot be cast to float8_e8m0fnu"));
}

TEST_P(SaveCast, CustomMetadataThatNoFileCanHoldAreRefusedBeforeAnythingIsWritten) {
  CheckpointManager manager(root(), given());
  args::StandardSave save(Tree(Dict{{"n", 1}}));
  save.custom_metadata["text"] = std::string("\xff\xfe");
  const Error error = error_of([&] { static_cast<void>(manager.save(0, save).get()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().item, "default");
  EXPECT_EQ(manager.all_steps(true), std::vector<Step>());
}

}  // namespace
}  // namespace cairn::test
