// copy_region() and scatter_region() against a copy of one element after another, on random shapes.

#include <cairn/codecs/array.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace cairn {
namespace {

constexpr unsigned kSeed = 20240601;
constexpr int kRounds = 3000;
constexpr DType kTypes[] = {DType::int8, DType::bfloat16, DType::float32, DType::float64,
                            DType::complex128};

using Random = std::mt19937;

Index pick(Random& random, Index low, Index high) {
  return std::uniform_int_distribution<Index>(low, high)(random);
}

// Strided memory: every index of `shape` lies within it.
struct Place {
  Shape shape;
  std::vector<Index> strides;
  std::vector<std::byte> memory;
  std::size_t first = 0;  // where index 0, 0, ... lies

  std::byte* at(const Shape& index) {
    auto offset = static_cast<Index>(first);
    for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
    return memory.data() + offset;
  }
};

Shape random_shape(Random& random) {
  Shape shape(static_cast<std::size_t>(pick(random, 0, 5)));
  for (Index& extent : shape) extent = pick(random, 0, 20) == 0 ? 0 : pick(random, 1, 6);
  return shape;
}

// Any order of axes, gaps between rows, negative strides; zero strides too if `overlapping`.
Place random_place(Random& random, Shape shape, std::size_t item, bool overlapping) {
  Place place;
  std::vector<std::size_t> order(shape.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (pick(random, 0, 1) == 0) std::shuffle(order.begin(), order.end(), random);
  place.strides.resize(shape.size());
  auto stride = static_cast<Index>(item);
  Index low = 0;
  Index high = 0;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    if (pick(random, 0, 3) == 0) stride += pick(random, 0, 3) * static_cast<Index>(item);
    Index step = pick(random, 0, 3) == 0 ? -stride : stride;
    if (overlapping && pick(random, 0, 6) == 0) step = 0;
    place.strides[*i] = step;
    const Index reach = step * std::max<Index>(shape[*i] - 1, 0);
    (reach < 0 ? low : high) += reach;
    stride *= std::max<Index>(shape[*i], 1);
  }
  place.memory.resize(static_cast<std::size_t>(high - low) + item);
  for (std::byte& byte : place.memory) byte = static_cast<std::byte>(random());
  place.first = static_cast<std::size_t>(-low);
  place.shape = std::move(shape);
  return place;
}

// Calls `visit(index, number)` for each index of `shape`, in C order.
template <class Visit>
void for_each_index(const Shape& shape, const Visit& visit) {
  const Index count = element_count(shape);
  for (Index number = 0; number < count; ++number) {
    Shape index(shape.size());
    Index rest = number;
    for (std::size_t i = shape.size(); i-- > 0; rest /= shape[i]) index[i] = rest % shape[i];
    visit(index, static_cast<std::size_t>(number));
  }
}

TEST(CopyRegion, GivesWhatCopyingEveryElementGives) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Random random(kSeed);
  for (int round = 0; round < kRounds; ++round) {
    const DType dtype = kTypes[static_cast<std::size_t>(round) % std::size(kTypes)];
    const std::size_t item = size_of(dtype);
    Place place = random_place(random, random_shape(random), item, true);
    const ArrayView view(dtype, place.shape, place.at(Shape(place.shape.size(), 0)), place.strides);
    Shape origin(place.shape.size());
    Shape shape(place.shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) {
      origin[i] = pick(random, 0, place.shape[i]);
      shape[i] = pick(random, 0, place.shape[i] - origin[i]);
      if (pick(random, 0, 1) == 0) origin[i] = 0, shape[i] = place.shape[i];
    }
    std::vector<std::byte> expected(byte_count(dtype, shape));
    for_each_index(shape, [&](const Shape& index, std::size_t number) {
      Shape from = index;
      for (std::size_t i = 0; i < from.size(); ++i) from[i] += origin[i];
      std::copy_n(place.at(from), item, expected.data() + number * item);
    });
    // One byte more, so that there is a place even for nothing.
    std::vector<std::byte> to(expected.size() + 1, std::byte{0xEE});
    copy_region(view, origin, shape, to.data());
    ASSERT_EQ(to.back(), std::byte{0xEE}) << "round " << round;
    to.pop_back();
    ASSERT_EQ(to, expected) << "round " << round;
  }
}

TEST(ScatterRegion, PutsEveryElementInItsPlaceAndTouchesNothingElse) {
  SCOPED_TRACE("seed " + std::to_string(kSeed + 1));
  Random random(kSeed + 1);
  for (int round = 0; round < kRounds; ++round) {
    const DType dtype = kTypes[static_cast<std::size_t>(round) % std::size(kTypes)];
    const std::size_t item = size_of(dtype);
    Place place = random_place(random, random_shape(random), item, false);
    std::vector<std::byte> from(byte_count(dtype, place.shape) + 1);
    for (std::byte& byte : from) byte = static_cast<std::byte>(random());
    Place expected = place;
    for_each_index(place.shape, [&](const Shape& index, std::size_t number) {
      std::copy_n(from.data() + number * item, item, expected.at(index));
    });
    scatter_region(from.data(), dtype, place.shape, place.at(Shape(place.shape.size(), 0)),
                   place.strides);
    ASSERT_EQ(place.memory, expected.memory) << "round " << round;
  }
}

}  // namespace
}  // namespace cairn
