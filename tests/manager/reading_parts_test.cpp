// The arithmetic of reading: sets of keys, grids of chunks, boxes, selections.

#include <cairn/codecs/cast.h>
#include <cairn/codecs/format_error.h>
#include <cairn/manager/error.h>
#include <cairn/manager/internal/box_copy.h>
#include <cairn/manager/internal/chunk_plan.h>
#include <cairn/manager/internal/key_set.h>
#include <cairn/manager/internal/selection.h>
#include <cairn/manager/internal/stored_array.h>
#include <gmock/gmock.h>

#include <numeric>
#include <random>

#include "support/sanitized.h"
#include "support/seed.h"

namespace cairn::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

KeyPath path(std::initializer_list<std::string> names) {
  KeyPath keys;
  for (const std::string& name : names) {
    const bool index = name.find_first_not_of("0123456789") == std::string::npos;
    keys.emplace_back(name, index ? Key::Kind::sequence : Key::Kind::dict);
  }
  return keys;
}

TEST(KeySet, HoldsKeysAndPrefixesAndNothingElse) {
  KeySet set;
  set.add_prefix("b/");
  set.add_key("a");
  set.add_key("b/x");
  set.add_prefix("\xff");
  set.seal();
  EXPECT_THAT(set.ranges(), SizeIs(3));
  for (const std::string in : {"a", "b/", "b/x", "b/x/y", "b/\xff", "\xff", "\xff\xff"})
    EXPECT_TRUE(set.contains(in)) << in;
  for (const std::string out : {"", "a/", "aa", "b", "b0", "c", "\xfe"})
    EXPECT_FALSE(set.contains(out)) << out;
  EXPECT_TRUE(KeySet::all().contains(""));
  EXPECT_FALSE(KeySet().contains(""));
}

TEST(KeySet, MeetsARangeThatMayHoldOneOfItsKeys) {
  KeySet set;
  set.add_key("d");
  set.add_prefix("m/");
  set.seal();
  EXPECT_TRUE(set.meets("", std::nullopt));
  EXPECT_TRUE(set.meets("d", "e"));
  EXPECT_TRUE(set.meets("a", "d0"));
  EXPECT_FALSE(set.meets("a", "d"));
  EXPECT_FALSE(set.meets("d0", "m/"));
  EXPECT_TRUE(set.meets("m/5", "m/6"));
  EXPECT_FALSE(set.meets("m0", std::nullopt));
  EXPECT_FALSE(KeySet().meets("", std::nullopt));
}

zarr::ArrayMetadata metadata(Shape shape, Shape chunk) {
  zarr::ArrayMetadata result;
  result.shape = std::move(shape);
  result.chunk_shape = std::move(chunk);
  result.codecs = {zarr::Bytes{}};
  return result;
}

TEST(StoredArray, FindsTheChunkOfEachOfItsKeysAndOfNoOther) {
  for (const bool v2 : {false, true}) {
    for (const char separator : {'/', '.'}) {
      zarr::ArrayMetadata form = metadata({5, 7, 3}, {2, 3, 3});
      form.v2_keys = v2;
      form.key_separator = separator;
      const StoredArray array(form);
      for (std::uint64_t chunk = 0; chunk < array.chunks; ++chunk)
        EXPECT_EQ(array.chunk_of(array.chunk_key(chunk)), chunk) << array.chunk_key(chunk);
      const std::string first = array.chunk_key(0);
      for (const std::string& other :
           {std::string(), first + "0", first + separator, first + "/0", "x" + first,
            first.substr(0, first.size() - 1), std::string("zarr.json"), std::string("c"),
            std::string("c/0/0/-1"), std::string("3.0.0"), std::string("c/3/0/0"),
            std::string("c/00/0/0"), std::string("00.0.0"), std::string("c/0/0/0/0"),
            std::string("99999999999999999999.0.0")}) {
        EXPECT_EQ(array.chunk_of(other), std::nullopt) << other;
      }
    }
  }
  const StoredArray scalar(metadata({}, {}));
  EXPECT_EQ(scalar.chunk_of("c"), 0u);
  EXPECT_EQ(scalar.chunk_of("0"), std::nullopt);
}

TEST(StoredArray, RefusesWhatCannotBeCounted) {
  EXPECT_THROW(StoredArray(metadata({INT64_MAX}, {1})), FormatError);
  EXPECT_THROW(StoredArray(metadata({Index{1} << 40, Index{1} << 40}, {1, 1})), FormatError);
  EXPECT_THROW(StoredArray(metadata({8}, {Index{1} << 50})), FormatError);
}

TEST(StoredArray, LengthsThatCannotBeAreFaults) {
  const StoredArray raw(metadata({1000}, {1000}));
  EXPECT_EQ(length_fault(raw, 4000, 4000), "");
  EXPECT_THAT(length_fault(raw, 3999, 4000), HasSubstr("4000"));
  zarr::ArrayMetadata packed = metadata({1 << 28}, {1 << 28});
  packed.codecs.emplace_back(zarr::Zstd{});
  const StoredArray compressed(packed);
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  EXPECT_EQ(length_fault(compressed, 1 << 20, kGiB), "");
  EXPECT_THAT(length_fault(compressed, 20, kGiB), HasSubstr("too few"));
  EXPECT_THAT(length_fault(compressed, std::uint64_t{1} << 63, kGiB), HasSubstr("at most"));
}

TEST(StoredArray, LengthsAreTakenByWhatTheCodecCanMakeOfThem) {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  const auto least = [](const zarr::Codec& codec) {
    zarr::ArrayMetadata form = metadata({1 << 28}, {1 << 28});
    form.format = zarr::Format::v2;
    form.codecs.emplace_back(codec);
    const StoredArray array(form);
    std::uint64_t length = 1;
    while (!length_fault(array, length, kGiB).empty()) length *= 2;
    return length;
  };
  // 1 GiB from 2^15 times, 1032 times, and 2^21 times fewer bytes.
  EXPECT_EQ(least(zarr::Zstd{}), std::uint64_t{1} << 15);
  EXPECT_EQ(least(zarr::Blosc{}), std::uint64_t{1} << 15);
  EXPECT_EQ(least(zarr::Gzip{}), std::uint64_t{1} << 20);
  EXPECT_EQ(least(zarr::Bz2{}), std::uint64_t{1} << 9);
}

TEST(StoredArray, ChunksFarLargerThanTheirArrayAreFaults) {
  zarr::ArrayMetadata form = metadata({1}, {1 << 28});
  form.codecs.emplace_back(zarr::Zstd{});
  const StoredArray gib(form);
  EXPECT_THAT(length_fault(gib, 1 << 16, 4), HasSubstr("does not justify"));
  // Bytes that are there justify as many, and so does a large array.
  EXPECT_EQ(length_fault(gib, 1 << 26, 4), "");
  EXPECT_EQ(length_fault(gib, 1 << 16, 1 << 26), "");
  form.chunk_shape = {1 << 26};
  EXPECT_EQ(length_fault(StoredArray(form), 1 << 16, 4), "");
}

/// In how many dense runs the elements of `what` lie in an array of all of `box`.
std::size_t runs_in(const IndexRange& what, const IndexRange& box) {
  std::size_t runs = 0;
  std::optional<std::uint64_t> last;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(element_count(what.shape)); ++i) {
    Shape at = index_of(what.shape, i);
    for (std::size_t d = 0; d < at.size(); ++d) at[d] += what.origin[d] - box.origin[d];
    const std::uint64_t place = linear_of(box.shape, at);
    if (!last || *last + 1 != place) ++runs;
    last = place;
  }
  return runs;
}

TEST(Boxes, CopiesWhatOneElementAtATimeWouldCopy) {
  std::mt19937_64 random(test::make_seed());
  const auto below = [&](Index most) {
    return static_cast<Index>(random() % static_cast<std::uint64_t>(most));
  };
  for (int round = 0; round < 300; ++round) {
    const std::size_t rank = random() % 4;
    IndexRange from, to, what;
    for (std::size_t d = 0; d < rank; ++d) {
      const Index begin = below(4);
      const Index size = 1 + below(3);
      what.origin.push_back(begin);
      what.shape.push_back(size);
      for (IndexRange* box : {&from, &to}) {
        const Index before = below(begin + 1);
        box->origin.push_back(begin - before);
        box->shape.push_back(before + size + below(3));
      }
    }
    const Array source = [&] {
      Array array = Array::uninitialized(DType::uint16, from.shape);
      auto values = array.values<std::uint16_t>();
      std::iota(values.begin(), values.end(), std::uint16_t{1});
      return array;
    }();
    Array copied(DType::uint16, to.shape);
    const std::vector<Index> strides = c_strides(DType::uint16, from.shape);
    const LoadTarget target = LoadTarget::dense(DType::uint16, copied.bytes().data(), to.shape);
    cast_region(source.bytes().data() + distance(from, what, strides), DType::uint16, strides,
                what.shape, target.at(to, what), DType::uint16, target.strides);
    EXPECT_EQ(is_run(what.shape, target), runs_in(what, to) == 1);
    Array wanted(DType::uint16, to.shape);
    Index elements = 0;
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(wanted.size()); ++i) {
      Shape at = index_of(to.shape, i);
      for (std::size_t d = 0; d < rank; ++d) at[d] += to.origin[d];
      if (!contains(what, at)) continue;
      for (std::size_t d = 0; d < rank; ++d) at[d] -= from.origin[d];
      wanted.values<std::uint16_t>()[i] = source.values<std::uint16_t>()[linear_of(from.shape, at)];
      ++elements;
    }
    EXPECT_EQ(copied, wanted);
    EXPECT_EQ(elements, element_count(what.shape));
    std::size_t bytes = 0;
    for_each_run(DType::uint16, what, from, source.bytes().data(),
                 [&](std::span<const std::byte> run) { bytes += run.size(); });
    EXPECT_EQ(bytes, byte_count(DType::uint16, what.shape));
  }
}

TEST(Boxes, FillWithAnElementThatIsCastAndZeroWhatIsBeyond) {
  Array array(DType::float32, {3, 4, 2});
  for (float& value : array.values<float>()) value = 9;
  const LoadTarget target = LoadTarget::dense(DType::float32, array.bytes().data(), array.shape());
  const std::int16_t seven = 7;
  const Shape used = {2, 4, 1};
  fill_region(std::as_bytes(std::span(&seven, 1)), DType::int16, used, target.data, target);
  zero_beyond(used, array.shape(), target);
  for (std::uint64_t i = 0; i < 24; ++i) {
    const Shape at = index_of(array.shape(), i);
    const bool within = at[0] < 2 && at[2] < 1;
    EXPECT_EQ(array.values<float>()[i], within ? 7.0f : 0.0f) << i;
  }
}

TEST(Select, NullsKeepTheElementsOfListsInTheirPlaces) {
  const std::vector<KeyPath> paths = {path({"a", "0", "x"}), path({"a", "0", "y"}),
                                      path({"a", "1", "0"}), path({"a", "1", "1"}),
                                      path({"a", "2"}),      path({"b", "0"})};
  Selections some;
  some.emplace_back(path({"a", "1", "1"}));
  const std::vector<Chosen> chosen = choose(some, paths);
  ASSERT_THAT(chosen, SizeIs(1));
  EXPECT_EQ(chosen[0].leaf, 3u);
  EXPECT_THAT(list_gaps(paths, chosen),
              ElementsAre(path({"a", "0"}), path({"a", "1", "0"}), path({"a", "2"})));
  EXPECT_THAT(choose({}, paths), SizeIs(6));
  Selections text;
  text.emplace_back("a[0]");
  text.emplace_back("a[0]/y");
  EXPECT_THAT(choose(text, paths), SizeIs(2));
}

TEST(Select, FindsWhatOneSelectionAfterTheOtherWouldFind) {
  std::mt19937_64 random(test::make_seed());
  // Names that begin alike, end in what separates names, and are lists.
  const std::vector<std::string> names = {"a", "aa", "a/", "a[", "b", "0", "1", "10"};
  for (int round = 0; round < 50; ++round) {
    std::vector<KeyPath> paths;
    for (int i = 0; i < 40; ++i) {
      KeyPath one;
      for (std::size_t more = 1 + random() % 4; more > 0; --more)
        one.push_back(path({names[random() % names.size()]})[0]);
      paths.push_back(std::move(one));
    }
    const KeyPath& some = paths[random() % paths.size()];
    const auto keys = static_cast<std::ptrdiff_t>(1 + random() % some.size());
    const KeyPath wanted(some.begin(), some.begin() + keys);
    std::vector<std::size_t> by_keys;
    std::vector<std::size_t> by_text;
    const std::string text = to_string(wanted);
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const auto same = [](const Key& x, const Key& y) { return x.name == y.name; };
      if (wanted.size() <= paths[i].size() &&
          std::equal(wanted.begin(), wanted.end(), paths[i].begin(), same)) {
        by_keys.push_back(i);
      }
      const std::string other = to_string(paths[i]);
      if (other == text || other.starts_with(text + "/") || other.starts_with(text + "["))
        by_text.push_back(i);
    }
    const auto leaves = [&](Selections selections) {
      std::vector<std::size_t> found;
      for (const Chosen& one : choose(selections, paths)) found.push_back(one.leaf);
      return found;
    };
    EXPECT_EQ(leaves({args::Selection(wanted)}), by_keys) << text;
    EXPECT_EQ(leaves({args::Selection(text), args::Selection(text)}), by_text) << text;
  }
}

TEST(Select, AsManySelectionsAsLeavesAreFoundInAMoment) {
  // Looking at every leaf for every selection would be 1.6e11 comparisons without sanitizers, and
  // take longer than a test may.
  constexpr int kLeaves = 400'000 / static_cast<int>(test::kOneCaseIn);
  std::vector<KeyPath> paths;
  Selections some;
  for (int i = 0; i < kLeaves; ++i) {
    paths.push_back(path({"layers", std::to_string(i), "kernel"}));
    some.emplace_back("layers[" + std::to_string(i) + "]");
  }
  for (int i = 0; i < 1000; ++i) some.emplace_back("layers");  // all of them, again and again
  EXPECT_THAT(choose(some, paths), SizeIs(kLeaves));
}

TEST(Select, TextMatchesWholeKeysOnly) {
  const std::vector<KeyPath> paths = {path({"layer"}), path({"layers", "0"}), path({"layers2"})};
  Selections some;
  some.emplace_back("layers");
  const std::vector<Chosen> chosen = choose(some, paths);
  ASSERT_THAT(chosen, SizeIs(1));
  EXPECT_EQ(chosen[0].leaf, 1u);
}

}  // namespace
}  // namespace cairn::internal
