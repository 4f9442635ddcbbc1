#include <cairn/codecs/leaf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cairn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class NoSource : public Source {
 public:
  void read(const IndexRange&, std::span<std::byte>,
            std::function<void(std::exception_ptr)> done) override {
    done(nullptr);
  }
};

LeafPart part(Shape origin, Shape shape) {
  return LeafPart(IndexRange{std::move(origin), std::move(shape)}, std::make_shared<NoSource>());
}

TEST(Leaf, OfOneSourceCoversTheWholeArray) {
  const Leaf leaf(DType::float32, {4, 6}, std::make_shared<NoSource>());
  ASSERT_EQ(leaf.parts().size(), 1u);
  EXPECT_EQ(leaf.parts()[0].range, (IndexRange{{0, 0}, {4, 6}}));
}

TEST(Leaf, TakesPartsThatTouchButDoNotOverlap) {
  const Leaf grid(
      DType::int8, {4, 4},
      {part({2, 2}, {2, 2}), part({0, 0}, {2, 2}), part({0, 2}, {2, 2}), part({2, 0}, {2, 2})});
  EXPECT_EQ(grid.parts().size(), 4u);
  EXPECT_NO_THROW(Leaf(DType::int8, {4}, {part({1}, {0}), part({0}, {4})}));
  EXPECT_NO_THROW(Leaf(DType::int8, {}, {part({}, {})}));
}

TEST(Leaf, RefusesPartsThatOverlap) {
  EXPECT_THAT(
      [] {
        Leaf(DType::int8, {8, 8},
             {part({0, 0}, {2, 8}), part({4, 0}, {2, 5}), part({2, 4}, {3, 4})});
      },
      ThrowsMessage<std::invalid_argument>(AllOf(
          HasSubstr("parts 1 and 2"), HasSubstr("[4, 0] + [2, 5]"), HasSubstr("[2, 4] + [3, 4]"))));
  EXPECT_THROW(Leaf(DType::int8, {}, {part({}, {}), part({}, {})}), std::invalid_argument);
}

TEST(Leaf, RefusesAPartThatDoesNotFit) {
  const auto refused = [](std::vector<LeafPart> parts, const std::string& why) {
    EXPECT_THAT(
        [&] {
          Leaf(DType::float32, {4, 4}, parts);
        },
        ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("part 0"), HasSubstr(why))));
  };
  const Array wrong_type(DType::int32, {2, 2});
  const Array wrong_shape(DType::float32, {2, 3});
  refused({part({0}, {4})}, "rank 2");
  refused({part({0, 3}, {1, 2})}, "leaves axis 1");
  refused({part({-1, 0}, {1, 1})}, "leaves axis 0");
  refused({LeafPart({{0, 0}, {2, 2}}, ArrayView(wrong_type))}, "holds int32");
  refused({LeafPart({{0, 0}, {2, 2}}, ArrayView(wrong_shape))}, "[2, 3]");
  refused({LeafPart({{0, 0}, {2, 2}}, std::shared_ptr<Source>())}, "no source");
}

}  // namespace
}  // namespace cairn
