#include <cairn/codecs/array.h>
#include <cairn/codecs/mutable_array_view.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace cairn {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr Index kHuge = std::numeric_limits<Index>::max();

TEST(ElementCount, MultipliesTheExtents) {
  EXPECT_EQ(element_count(Shape{}), 1);
  EXPECT_EQ(element_count(Shape{3, 4, 5}), 60);
  EXPECT_EQ(element_count(Shape{kHuge}), kHuge);
}

TEST(ElementCount, OfAnEmptyArrayIsZeroHoweverLargeTheOtherExtents) {
  EXPECT_EQ(element_count(Shape{kHuge, 0, kHuge}), 0);
}

TEST(ElementCount, RefusesWhatCannotBe) {
  EXPECT_THAT(
      [] {
        (void)element_count(Shape{2, -1});
      },
      ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("-1"), HasSubstr("axis 1"))));
  EXPECT_THAT(
      [] {
        (void)element_count(Shape{0, -1});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("negative")));
  EXPECT_THAT([] { (void)element_count(Shape(kMaxRank + 1, 1)); },
              ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("33"), HasSubstr("32"))));
  EXPECT_THAT(
      [] {
        (void)element_count(Shape{kHuge, 2});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("2^63-1 elements")));
}

TEST(ByteCount, RefusesWhatCannotBeAddressed) {
  EXPECT_EQ(byte_count(DType::float64, Shape{2, 3}), 48u);
  EXPECT_EQ(byte_count(DType::int8, Shape{kHuge}), static_cast<std::size_t>(kHuge));
  EXPECT_THAT([] { (void)byte_count(DType::int16, Shape{kHuge}); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("2^63-1 bytes")));
}

TEST(CStrides, AreThoseOfADenseArray) {
  EXPECT_THAT(c_strides(DType::float32, Shape{2, 3, 4}), ElementsAre(48, 16, 4));
  EXPECT_TRUE(c_strides(DType::float32, Shape{}).empty());
  EXPECT_THAT(c_strides(DType::float32, Shape{kHuge, 0, kHuge}), Each(4));
}

TEST(Array, IsZeroedAndAligned) {
  const Array array(DType::int32, {3, 5});
  EXPECT_EQ(array.size(), 15);
  EXPECT_THAT(array.values<int>(), Each(0));
  for (const Index count : {1, 100, 16'384, 100'000}) {
    const Array a = Array::uninitialized(DType::float32, {count});
    const std::size_t alignment = a.bytes().size() >= 65'536 ? 4096 : 64;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.bytes().data()) % alignment, 0u) << count;
  }
}

TEST(Array, CopiesTheValuesThatItIsMadeFrom) {
  std::vector<int> values{1, 2, 3, 4};
  const Array array = Array::from(std::span<const int>(values), {2, 2});
  values[0] = 9;
  EXPECT_THAT(array.values<int>(), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT([&] { (void)Array::from(std::span<const int>(values), {3}); },
              ThrowsMessage<std::invalid_argument>("4 values given for shape [3]; allowed: 3"));
}

TEST(Array, ScalarHasRankZero) {
  const Array scalar = Array::scalar(2.5);
  EXPECT_TRUE(scalar.shape().empty());
  EXPECT_EQ(scalar.values<double>()[0], 2.5);
}

TEST(Array, RefusesToGiveItsElementsAsAnotherType) {
  const Array array(DType::int32, {1});
  EXPECT_THAT([&] { (void)array.values<float>(); },
              ThrowsMessage<std::invalid_argument>(
                  AllOf(HasSubstr("holds int32"), HasSubstr("not float32"))));
}

TEST(Array, IsAValue) {
  Array a = Array::scalar(1);
  Array b = a;
  b.values<int>()[0] = 2;
  EXPECT_EQ(a.values<int>()[0], 1);
  EXPECT_NE(a, b);
  a = b;
  EXPECT_EQ(a, b);
  const std::byte* data = a.bytes().data();
  const Array c = std::move(a);
  EXPECT_EQ(c.bytes().data(), data);
  a = Array::scalar(3);  // a moved-from array can be assigned to
  EXPECT_EQ(a.values<int>()[0], 3);
  const Array copy_of_nothing = Array(Array());
  EXPECT_EQ(copy_of_nothing, Array());
}

TEST(Array, HoldsNothingAfterItWasMovedFrom) {
  Array large(DType::int8, {100});
  Array small(DType::float64, {4});
  large = std::move(small);
  EXPECT_EQ(large.dtype(), DType::float64);
  EXPECT_EQ(large.bytes().size(), 32u);
  EXPECT_TRUE(small.bytes().empty());  // NOLINT(bugprone-use-after-move): the promise under test
  Array& same = large;
  large = std::move(same);
  EXPECT_EQ(large.bytes().size(), 32u);
}

TEST(ArrayView, RefusesElementsWithoutMemory) {
  EXPECT_THROW(ArrayView(DType::float32, {4}, nullptr), std::invalid_argument);
  EXPECT_NO_THROW(ArrayView(DType::float32, {0}, nullptr));
  Array array = Array::scalar(1.0);
  const Array taken = std::move(array);
  // NOLINTNEXTLINE(bugprone-use-after-move): what a careless caller would save
  EXPECT_THROW(ArrayView{array}, std::invalid_argument);
}

TEST(Array, EqualityComparesTypeShapeAndBytes) {
  const std::vector<float> values{1, std::numeric_limits<float>::quiet_NaN()};
  const Array array = Array::from(std::span<const float>(values), {2});
  EXPECT_EQ(array, Array::from(std::span<const float>(values), {2}));
  EXPECT_NE(array, Array::from(std::span<const float>(values), {2, 1}));
  EXPECT_NE(Array(DType::int32, {2}), Array(DType::uint32, {2}));
  EXPECT_EQ(Array(DType::int32, {0, 3}), Array(DType::int32, {0, 3}));
}

TEST(ArrayView, KnowsWhenItIsDense) {
  const std::vector<int> values(24);
  const auto dense = [&](Shape shape, std::vector<Index> strides) {
    return ArrayView(DType::int32, std::move(shape), values.data(), std::move(strides))
        .contiguous();
  };
  EXPECT_TRUE(dense({2, 3}, {}));
  EXPECT_TRUE(dense({2, 3}, {12, 4}));
  EXPECT_FALSE(dense({2, 3}, {4, 8}));
  EXPECT_FALSE(dense({2, 3}, {16, 4}));
  EXPECT_TRUE(dense({1, 3}, {999, 4}));  // the only row is never stepped from
  EXPECT_FALSE(dense({3}, {0}));
  EXPECT_TRUE(dense({0, 3}, {0, 0}));
  EXPECT_TRUE(dense({}, {}));
}

TEST(ArrayView, RefusesStridesOfAnotherRank) {
  EXPECT_THAT(
      [] {
        ArrayView(DType::int32, {2, 3}, nullptr, {4});
      },
      ThrowsMessage<std::invalid_argument>(AllOf(HasSubstr("1 strides"), HasSubstr("2"))));
}

TEST(ArrayView, KeepsItsOwnerAlive) {
  auto values = std::make_shared<std::vector<int>>(3);
  std::weak_ptr<std::vector<int>> watch = values;
  {
    const ArrayView view(DType::int32, {3}, values->data(), {}, values);
    values.reset();
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TEST(ArrayView, BorrowsWhatItIsMadeOf) {
  const std::vector<int> values{1, 2, 3};
  const ArrayView view = ArrayView::of(std::span<const int>(values), {3});
  EXPECT_EQ(view.data(), reinterpret_cast<const std::byte*>(values.data()));
  EXPECT_EQ(ArrayView::of(values, {3}), view);
  EXPECT_EQ(ArrayView::of(values, {3}).data(), view.data());
  const Array copy = Array::from(values, {3});
  EXPECT_EQ(ArrayView(copy), view);
  EXPECT_NE(copy.bytes().data(), view.data());
  EXPECT_THROW(static_cast<void>(ArrayView::of(std::span<const int>(values), {4})),
               std::invalid_argument);
  static_assert(!std::constructible_from<ArrayView, Array&&>);
}

template <class R>
constexpr bool kViews = requires(R&& values) {
  ArrayView::of(std::forward<R>(values), {3});
};
template <class R>
constexpr bool kFills = requires(R&& values) {
  MutableArrayView::of(std::forward<R>(values), {3});
};

TEST(ArrayView, IsMadeOfAnyElementsThatLieSideBySideAndStay) {
  std::array<float, 3> fixed{1, 2, 3};
  float plain[] = {1, 2, 3};
  std::vector<float> list{1, 2, 3};
  const std::array<float, 3> constant{1, 2, 3};
  const ArrayView expected = ArrayView::of(fixed, {3});
  EXPECT_EQ(expected.data(), reinterpret_cast<const std::byte*>(fixed.data()));
  EXPECT_EQ(expected.dtype(), DType::float32);
  EXPECT_EQ(ArrayView::of(std::span<float>(list), {3}), expected);
  EXPECT_EQ(ArrayView::of(std::span<float, 3>(fixed), {3}), expected);
  EXPECT_EQ(ArrayView::of(std::span(list).subspan(0), {3}).data(), ArrayView::of(list, {3}).data());
  EXPECT_EQ(ArrayView::of(plain, {3}), expected);
  EXPECT_EQ(ArrayView::of(constant, {3}), expected);
  EXPECT_EQ(Array::from(std::span<float>(list), {3}), Array::from(list, {3}));
  EXPECT_EQ(Array::from(std::array<float, 3>{1, 2, 3}, {3}), Array::from(plain, {3}));
  EXPECT_THROW(static_cast<void>(ArrayView::of(fixed, {4})), std::invalid_argument);

  EXPECT_EQ(MutableArrayView::of(fixed, {3}).data(), reinterpret_cast<std::byte*>(fixed.data()));
  EXPECT_EQ(MutableArrayView::of(plain, {3}).data(), reinterpret_cast<std::byte*>(plain));
  EXPECT_EQ(MutableArrayView::of(std::span<float, 3>(fixed), {3}).size(), 3);

  static_assert(kViews<std::span<const float>> && kViews<std::span<float>>);
  static_assert(!kViews<std::vector<float>> && !kViews<std::array<float, 3>>, "a temporary goes");
  static_assert(!kViews<std::string&> && !kViews<std::array<char, 3>&>, "text has no dtype");
  static_assert(kFills<std::span<float>> && kFills<std::array<float, 3>&>);
  static_assert(!kFills<std::array<float, 3>> && !kFills<const std::array<float, 3>&>);
  static_assert(!kFills<const std::vector<float>&> && !kFills<std::vector<float>>);
}

TEST(CopyRegion, RefusesABoxOutsideTheArray) {
  const Array array(DType::int8, {4, 4});
  std::byte to[64];
  const auto copy = [&](Shape origin, Shape shape) { copy_region(array, origin, shape, to); };
  EXPECT_THAT(
      [&] {
        copy({0, 3}, {1, 2});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("region at [0, 3] of shape [1, 2]")));
  EXPECT_THROW(copy({-1, 0}, {1, 1}), std::invalid_argument);
  EXPECT_THROW(copy({0, 0}, {1, -1}), std::invalid_argument);
  EXPECT_THROW(copy({0}, {1}), std::invalid_argument);
  EXPECT_THROW(copy({kHuge, 0}, {kHuge, 1}), std::invalid_argument);
  EXPECT_NO_THROW(copy({4, 0}, {0, 4}));
}

TEST(ScatterRegion, RefusesStridesOfAnotherRank) {
  std::byte bytes[8];
  EXPECT_THROW(scatter_region(bytes, DType::int8, Shape{2, 2}, bytes, std::vector<Index>{1}),
               std::invalid_argument);
}

}  // namespace
}  // namespace cairn
