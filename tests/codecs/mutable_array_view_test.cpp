// Memory of the caller's as a leaf of a tree.

#include <cairn/codecs/tree.h>
#include <gmock/gmock.h>

#include <array>
#include <limits>

namespace cairn {
namespace {

using ::testing::HasSubstr;

void expect_refused(const std::function<void()>& make, const std::string& text) {
  try {
    make();
    ADD_FAILURE() << "accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

TEST(MutableArrayView, RefersToTheMemoryThatItWasMadeOf) {
  std::array<float, 6> memory{1, 2, 3, 4, 5, 6};
  const auto view = MutableArrayView::of(std::span<float>(memory), {2, 3});
  std::vector<float> list(6);
  EXPECT_EQ(MutableArrayView::of(list, {2, 3}).data(), reinterpret_cast<std::byte*>(list.data()));
  EXPECT_EQ(view.dtype(), DType::float32);
  EXPECT_EQ(view.shape(), (Shape{2, 3}));
  EXPECT_EQ(view.strides(), (std::vector<Index>{12, 4}));
  EXPECT_TRUE(view.contiguous());
  const MutableArrayView copy = view;
  std::memset(copy.data(), 0, 4);
  EXPECT_EQ(memory[0], 0.0f);
  EXPECT_EQ(view.view().data(), view.data());
}

TEST(MutableArrayView, ATreeOfItEqualsArraysAndViewsOfTheSameElements) {
  Array array(DType::int32, {3});
  array.values<std::int32_t>()[1] = 7;
  Array other = array;
  const Tree memory{MutableArrayView(other)};
  EXPECT_EQ(memory.kind(), "memory");
  EXPECT_EQ(memory, Tree(array));
  EXPECT_EQ(Tree(ArrayView(array)), memory);
  other.values<std::int32_t>()[1] = 8;
  EXPECT_NE(memory, Tree(array));
  EXPECT_NE(memory, Tree(8));
  EXPECT_EQ(view_of(memory)->data(), other.bytes().data());
  EXPECT_FALSE(view_of(Tree(8)));
}

TEST(MutableArrayView, RefusesMemoryOfAnotherSizeAndNone) {
  std::array<float, 5> memory{};
  expect_refused(
      [&] {
        static_cast<void>(MutableArrayView::of(std::span<float>(memory), {2, 3}));
      },
      "5 values given for shape [2, 3]; allowed: 6");
  expect_refused([] { MutableArrayView(DType::float32, {2}, nullptr); }, "without memory");
  expect_refused(
      [&] {
        MutableArrayView(DType::float32, {2}, memory.data(), {4, 4});
      },
      "2 strides given; allowed: 1");
  EXPECT_NO_THROW(MutableArrayView(DType::float32, {0, 7}, nullptr));
}

TEST(MutableArrayView, RefusesStridesByWhichElementsOverlap) {
  std::array<std::uint16_t, 64> memory{};
  const auto of = [&memory](Shape shape, std::vector<Index> strides) {
    MutableArrayView(DType::uint16, std::move(shape), memory.data() + 32, std::move(strides));
  };
  EXPECT_NO_THROW(of({3, 4}, {2, 6}));    // transposed
  EXPECT_NO_THROW(of({3, 4}, {-8, -2}));  // backwards
  EXPECT_NO_THROW(of({2, 3}, {16, 4}));   // every other
  EXPECT_NO_THROW(of({1, 4}, {0, 2}));    // an axis of one element has no stride to speak of
  EXPECT_NO_THROW(of({5}, {3}));          // not aligned
  expect_refused([&] { of({3, 4}, {0, 2}); }, "elements would overlap");
  expect_refused([&] { of({4}, {1}); }, "elements would overlap");
  expect_refused([&] { of({3, 4}, {6, 2}); }, "uint16[3, 4] with strides of [6, 2] bytes");
  expect_refused([&] { of({2}, {std::numeric_limits<Index>::min()}); }, "elements would overlap");
}

}  // namespace
}  // namespace cairn
