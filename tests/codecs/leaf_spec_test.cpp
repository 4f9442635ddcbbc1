#include <cairn/codecs/leaf_spec.h>
#include <cairn/codecs/tree.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace cairn {
namespace {

TEST(LeafSpec, SaysWhatIsAskedOfALeaf) {
  const LeafSpec any;
  EXPECT_EQ(any.dtype(), std::nullopt);
  EXPECT_EQ(any.shape(), std::nullopt);
  EXPECT_FALSE(any.is_placeholder());
  const LeafSpec cast{DType::bfloat16};
  EXPECT_EQ(cast.dtype(), DType::bfloat16);
  EXPECT_EQ(cast.shape(), std::nullopt);
  const LeafSpec both{DType::float32, {2, 3}};
  EXPECT_EQ(both.dtype(), DType::float32);
  EXPECT_EQ(both.shape(), (Shape{2, 3}));
  const LeafSpec number{DType::int64, {}};
  EXPECT_EQ(number.shape(), Shape());
  const LeafSpec shape{std::nullopt, Shape{4}};
  EXPECT_EQ(shape.dtype(), std::nullopt);
  EXPECT_EQ(shape.shape(), Shape{4});
}

TEST(LeafSpec, EqualsWhatSaysTheSame) {
  EXPECT_EQ(LeafSpec(), LeafSpec());
  EXPECT_EQ(LeafSpec(DType::int8, {2}), LeafSpec(DType::int8, {2}));
  EXPECT_NE(LeafSpec(DType::int8), LeafSpec());
  EXPECT_NE(LeafSpec(DType::int8), LeafSpec(DType::int8, {}));
  EXPECT_NE(LeafSpec(Placeholder()), LeafSpec());
}

TEST(LeafSpec, RefusesShapesThatNoArrayHas) {
  EXPECT_THROW(LeafSpec(DType::int8, {-1}), std::invalid_argument);
  EXPECT_THROW(LeafSpec(std::nullopt, Shape(kMaxRank + 1, 1)), std::invalid_argument);
  const Shape huge{Index{1} << 62};
  EXPECT_NO_THROW(LeafSpec(DType::int8, huge));
  EXPECT_THROW(LeafSpec(DType::float32, huge), std::invalid_argument);
}

TEST(LeafSpec, ReadsAsText) {
  EXPECT_EQ(to_string(LeafSpec()), "any dtype, any shape");
  EXPECT_EQ(to_string(LeafSpec(DType::bfloat16)), "bfloat16, any shape");
  EXPECT_EQ(to_string(LeafSpec(DType::float32, {2, 3})), "float32[2, 3]");
  EXPECT_EQ(to_string(LeafSpec(std::nullopt, Shape{2})), "any dtype, [2]");
  EXPECT_EQ(to_string(LeafSpec(Placeholder())), "placeholder");
}

TEST(LeafSpec, IsALeafOfATree) {
  const Tree target = Dict{{"w", LeafSpec{DType::bfloat16}},
                           {"layers", List{LeafSpec{DType::float32, {2}}, Placeholder()}},
                           {"opt", Tree(Placeholder())}};
  EXPECT_EQ(target.at("w").as<LeafSpec>().dtype(), DType::bfloat16);
  EXPECT_TRUE(target.at("layers").at(1).as<LeafSpec>().is_placeholder());
  EXPECT_EQ(target.at("opt").kind(), "spec");
  EXPECT_EQ(flatten(target).size(), 4u);
  EXPECT_EQ(target, Tree(target));
  EXPECT_NE(target.at("w"), target.at("opt"));
}

}  // namespace
}  // namespace cairn
