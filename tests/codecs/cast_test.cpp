// cast() against what numpy and ml_dtypes made of the same numbers: tests/data/cast/make.py.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/cast.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "test_data.h"

namespace cairn {
namespace {

constexpr std::size_t kMixed = std::size_t{1} << 16;
constexpr unsigned kSeed = 20240701;

using Bytes = std::vector<std::byte>;

DType dtype_of_name(const std::string& name) {
  const auto dtype = dtype_from_name(name);
  EXPECT_TRUE(dtype) << name;
  return dtype.value_or(DType::boolean);
}

Bytes to_bytes(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

void append(Bytes& to, std::uint64_t bits, std::size_t size) {
  std::byte bytes[sizeof(bits)];
  std::memcpy(bytes, &bits, sizeof(bits));
  to.insert(to.end(), bytes, bytes + size);
}

bool is_complex(DType dtype) {
  return dtype == DType::complex64 || dtype == DType::complex128;
}

// Every pattern that a type of at most 16 bits has.
Bytes all_patterns(DType dtype) {
  const std::size_t size = size_of(dtype);
  Bytes bytes;
  for (unsigned bits = 0; bits < (1u << (8 * size)); ++bits) {
    const auto number = static_cast<std::int8_t>(bits);
    if (dtype == DType::boolean && bits > 1) continue;
    if (dtype == DType::int2 && (number < -2 || number > 1)) continue;
    if (dtype == DType::int4 && (number < -8 || number > 7)) continue;
    if (dtype == DType::float4_e2m1fn && bits > 15) continue;
    append(bytes, bits, size);
  }
  return bytes;
}

std::uint64_t split_mix(std::uint64_t number) {
  std::uint64_t z = number * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// The patterns of make.py's mixed().
Bytes mixed(DType dtype) {
  const bool is_float = dtype >= DType::float32;
  const std::size_t size = is_complex(dtype) ? size_of(dtype) / 2 : size_of(dtype);
  const std::size_t count = is_complex(dtype) ? 2 * kMixed : kMixed;
  Bytes bytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t bits = split_mix(i + 1);
    if (!is_float) {
      bits = bits >> (64 - 8 * size) >> (i % (8 * size));
    } else {
      if (size == 8 && i % 4 != 0) {
        bits = (bits & 0x800FFFFFFFFFFFFF) | (1023 - 160 + bits % 320) << 52;
      }
      if (size == 4) bits >>= 32;
      const std::uint64_t dropped = i / 2 % (size == 4 ? 23 : 52);
      if (i % 2 == 1) bits = bits >> dropped << dropped;
    }
    append(bytes, bits, size);
  }
  return bytes;
}

template <class T>
T real_at(const std::byte* element) {
  T value;
  std::memcpy(&value, element, sizeof(value));
  return value;
}

double real_part(DType dtype, const std::byte* element) {
  switch (dtype) {
    case DType::float32:
    case DType::complex64:
      return static_cast<double>(real_at<float>(element));
    case DType::float64:
    case DType::complex128:
      return real_at<double>(element);
    default:
      break;
  }
  float value = 0;
  cast({element, size_of(dtype)}, dtype, std::as_writable_bytes(std::span(&value, 1)),
       DType::float32);
  return static_cast<double>(value);
}

// As make.py's hold_in_uint32(): numpy does not say what it makes of other numbers.
void hold_in_uint32(DType from, Bytes& bytes) {
  const std::size_t size = size_of(from);
  for (std::size_t i = 0; i < bytes.size(); i += size) {
    const double value = real_part(from, bytes.data() + i);
    if (value >= -0x1p31 && value < 0x1p32) continue;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(i), size, std::byte{0});
  }
}

Bytes cast_all(DType from, DType to, Bytes elements) {
  if (to == DType::uint32 && from >= DType::bfloat16) hold_in_uint32(from, elements);
  Bytes result(elements.size() / size_of(from) * size_of(to));
  cast(elements, from, result, to);
  return result;
}

// Where the results differ first, in words.
std::string first_difference(DType from, DType to, const Bytes& inputs, const Bytes& found,
                             const Bytes& expected) {
  for (std::size_t i = 0; i < inputs.size() / size_of(from); ++i) {
    const auto element = [i](const Bytes& bytes, std::size_t size) {
      return hex(std::span(bytes).subspan(i * size, size));
    };
    const std::string got = element(found, size_of(to));
    const std::string wanted = element(expected, size_of(to));
    if (got != wanted) {
      return "element " + std::to_string(i) + ", " + element(inputs, size_of(from)) + ", became " +
             got + " and not " + wanted;
    }
  }
  return "no difference";
}

TEST(Cast, GivesWhatNumpyAndMlDtypesGive) {
  std::map<DType, Bytes> inputs;
  std::map<DType, Bytes> patterns;
  std::set<std::pair<DType, DType>> seen;
  for (const auto& row : read_test_table("cast/casts.txt")) {
    const DType from = dtype_of_name(row.at(1));
    if (row[0] == "inputs") {
      inputs[from] = to_bytes(from_hex(row.at(2)));
      continue;
    }
    const DType to = dtype_of_name(row.at(2));
    SCOPED_TRACE(row[0] + ": " + row[1] + " to " + row[2]);
    EXPECT_EQ(castable(from, to), row[0] != "refused");
    if (row[0] == "chosen") {
      const Bytes result = cast_all(from, to, inputs[from]);
      const Bytes expected = to_bytes(from_hex(row.at(3)));
      ASSERT_EQ(result.size(), expected.size());
      EXPECT_TRUE(result == expected) << first_difference(from, to, inputs[from], result, expected);
      continue;
    }
    EXPECT_TRUE(seen.emplace(from, to).second);
    if (row[0] == "refused") continue;
    Bytes& many = patterns[from];
    if (many.empty()) many = row[0] == "all" ? all_patterns(from) : mixed(from);
    const Bytes result = cast_all(from, to, many);
    EXPECT_EQ(content_hash({reinterpret_cast<const char*>(result.data()), result.size()}),
              row.at(3));
  }
  EXPECT_EQ(seen.size(), kDTypeCount * kDTypeCount);
}

template <class From, class To>
To cast_one(From from) {
  To to{};
  cast(std::as_bytes(std::span(&from, 1)), dtype_of<From>(),
       std::as_writable_bytes(std::span(&to, 1)), dtype_of<To>());
  return to;
}

TEST(Cast, TakesAnInt64WrappedWhereUint32CannotHoldANumber) {
  EXPECT_EQ((cast_one<float, std::uint32_t>(-1.5F)), 0xFFFFFFFFu);
  EXPECT_EQ((cast_one<double, std::uint32_t>(-3e9)), static_cast<std::uint32_t>(-3000000000));
  EXPECT_EQ((cast_one<double, std::uint32_t>(5e9)), static_cast<std::uint32_t>(5000000000));
  EXPECT_EQ((cast_one<float, std::uint32_t>(std::nanf(""))), 0u);
  EXPECT_EQ((cast_one<float, std::uint32_t>(INFINITY)), 0u);
}

TEST(Cast, RoundsFloat64OnceToFloat16AndTwiceToMlDtypesTypes) {
  // Above the middle of two float16 or bfloat16, by less than a float32 can say.
  EXPECT_EQ((cast_one<double, float16_t>(1 + 0x1p-11 + 0x1p-40).bits), 0x3C01);
  EXPECT_EQ((cast_one<double, bfloat16_t>(1 + 0x1p-8 + 0x1p-40).bits), 0x3F80);
}

TEST(Cast, LeavesElementsOfTheSameTypeAsTheyAre) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    Bytes bytes;
    for (unsigned byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<std::byte>(byte));
    Bytes result(bytes.size());
    cast(bytes, dtype, result, dtype);
    EXPECT_EQ(result, bytes) << name_of(dtype);
  }
}

TEST(Cast, NeedsNoAlignmentAndWritesNothingElse) {
  for (const DType from : {DType::float32, DType::float64, DType::int16, DType::complex64}) {
    for (const DType to : {DType::bfloat16, DType::float32, DType::int64, DType::complex128}) {
      Bytes elements = mixed(DType::float64);
      elements.resize(size_of(from) * 1031);
      Bytes expected(size_of(to) * 1031);
      cast(elements, from, expected, to);
      elements.insert(elements.begin(), std::byte{0});
      Bytes result(expected.size() + 2, std::byte{0xEE});
      cast(std::span(elements).subspan(1), from, std::span(result).subspan(1, expected.size()), to);
      EXPECT_EQ(result.front(), std::byte{0xEE});
      EXPECT_EQ(result.back(), std::byte{0xEE});
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), result.begin() + 1))
          << name_of(from) << " to " << name_of(to);
    }
  }
}

TEST(Cast, RefusesSizesThatDoNotAgree) {
  Bytes eight(8);
  Bytes nine(9);
  EXPECT_THROW(cast(nine, DType::float32, eight, DType::float32), std::invalid_argument);
  EXPECT_THROW(cast(eight, DType::float32, eight, DType::bfloat16), std::invalid_argument);
  EXPECT_NO_THROW(cast(eight, DType::float32, eight, DType::float32));
  EXPECT_NO_THROW(cast({}, DType::float32, {}, DType::int8));
}

TEST(Cast, NamesTheTypesThatItRefuses) {
  Bytes bytes(4);
  try {
    cast(bytes, DType::int4, bytes, DType::int2);
    ADD_FAILURE() << "cast";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("int4 cannot be cast to int2"));
  }
}

// A strided place for elements of a shape, with gaps and some axes turned around.
struct Place {
  Place(const Shape& shape, std::size_t item, std::mt19937& random) : strides(shape.size()) {
    auto stride = static_cast<Index>(item);
    Index low = 0;
    Index high = 0;
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (random() % 3 == 0) stride += static_cast<Index>(random() % 5);
      strides[i] = random() % 3 == 0 ? -stride : stride;
      const Index reach = strides[i] * (shape[i] - 1);
      (reach < 0 ? low : high) += reach;
      stride *= shape[i];
    }
    memory.resize(static_cast<std::size_t>(high - low) + item, std::byte{0xEE});
    first = static_cast<std::size_t>(-low);
  }
  std::byte* origin() { return memory.data() + first; }
  std::vector<Index> strides;
  Bytes memory;
  std::size_t first = 0;
};

TEST(CastRegion, CastsEveryElementInItsPlaceAndTouchesNothingElse) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  for (int round = 0; round < 3000; ++round) {
    const auto from = static_cast<DType>(random() % kDTypeCount);
    const auto to = static_cast<DType>(random() % kDTypeCount);
    if (!castable(from, to)) continue;
    Shape shape(random() % 4);
    for (Index& extent : shape) extent = static_cast<Index>(random() % 9) + 1;
    if (!shape.empty() && round % 100 == 0) shape.back() = 1200;  // more than one block
    Bytes dense(byte_count(from, shape));
    for (std::byte& byte : dense) byte = static_cast<std::byte>(random());
    Place source(shape, size_of(from), random);
    scatter_region(dense.data(), from, shape, source.origin(), source.strides);

    Bytes cast_dense(byte_count(to, shape));
    cast(dense, from, cast_dense, to);
    Place target(shape, size_of(to), random);
    Place expected = target;
    scatter_region(cast_dense.data(), to, shape, expected.origin(), expected.strides);
    cast_region(source.origin(), from, source.strides, shape, target.origin(), to, target.strides);
    ASSERT_EQ(target.memory, expected.memory)
        << "round " << round << ": " << name_of(from) << " to " << name_of(to);
  }
}

TEST(CastRegion, RefusesStridesOfAnotherRank) {
  Bytes bytes(8);
  const Shape shape{2};
  const std::vector<Index> one{4};
  const std::vector<Index> two{4, 4};
  const auto region = [&](const auto& from, const auto& to) {
    cast_region(bytes.data(), DType::float32, from, shape, bytes.data(), DType::float32, to);
  };
  EXPECT_THROW(region(two, one), std::invalid_argument);
  EXPECT_THROW(region(one, two), std::invalid_argument);
}

}  // namespace
}  // namespace cairn
