#include "report/workloads.h"

#include <cairn/codecs/tree.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "report/numbers.h"

namespace cairn::bench {
namespace {

constexpr std::uint64_t kBytes = std::uint64_t{4} << 20;

/// Each by its name, small where that can be chosen.
class Workloads : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, Workloads, testing::ValuesIn(workload_names()),
                         [](const auto& test) { return test.param; });

std::string_view text_of(const Array& array) {
  const auto bytes = array.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const Array& array_at(const Workload& workload, const std::string& path) {
  const auto found = std::ranges::find(workload.arrays, path, &NamedArray::path);
  if (found == workload.arrays.end()) throw std::out_of_range(path);
  return found->array;
}

float as_float(bfloat16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

struct Moments {
  double mean = 0;
  double sigma = 0;
};
template <class Values>
Moments moments_of(const Values& values) {
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  const auto n = static_cast<double>(values.size());
  return {sum / n, std::sqrt(squares / n - sum / n * (sum / n))};
}

TEST_P(Workloads, HaveAsManyArraysAndBytesAsWasAsked) {
  const Workload workload = make_workload(GetParam(), kBytes, 1);
  EXPECT_EQ(workload.name, GetParam());
  const std::map<std::string, std::size_t> counts = {
      {"llama", 4 * 291}, {"llama_bf16", 291}, {"huge", 1}, {"tiny", 100'000}, {"resnet", 2 * 161}};
  if (const auto count = counts.find(GetParam()); count != counts.end()) {
    EXPECT_EQ(workload.arrays.size(), count->second);
  }
  if (GetParam() == "resnet") {
    EXPECT_EQ(workload.bytes(), 2 * 25'557'032 * sizeof(float));
  } else if (GetParam() != "tiny") {
    EXPECT_NEAR(static_cast<double>(workload.bytes()) / static_cast<double>(kBytes), 1, 0.02);
  }
}

TEST_P(Workloads, HoldNoZerosAndNothingTwice) {
  const Workload workload = make_workload(GetParam(), kBytes, 1);
  std::unordered_set<std::string_view> contents;
  std::unordered_set<std::string_view> paths;
  for (const auto& [path, array, numbers] : workload.arrays) {
    const auto bytes = array.bytes();
    const auto zeros = std::ranges::count(bytes, std::byte{});
    // Small integers have zeros above.
    EXPECT_LE(static_cast<std::size_t>(zeros), bytes.size() * 3 / 4) << path;
    EXPECT_TRUE(contents.insert(text_of(array)).second) << path;
    EXPECT_TRUE(paths.insert(path).second) << path;
  }
}

TEST_P(Workloads, DependOnTheirSeedAlone) {
  const Workload workload = make_workload(GetParam(), kBytes, 1);
  EXPECT_EQ(first_difference(workload, make_workload(GetParam(), kBytes, 1)), "");
  const Workload other = make_workload(GetParam(), kBytes, 2);
  std::unordered_set<std::string_view> contents;
  for (const NamedArray& named : workload.arrays) contents.insert(text_of(named.array));
  for (const NamedArray& named : other.arrays) {
    ASSERT_FALSE(contents.contains(text_of(named.array))) << named.path;
  }
}

TEST_P(Workloads, HaveTargetsOfWhichNoByteIsRight) {
  const Workload workload = make_workload(GetParam(), kBytes, 1);
  const Workload targets = targets_for(workload);
  EXPECT_EQ(first_difference(workload, targets), workload.arrays.front().path);
  ASSERT_EQ(targets.arrays.size(), workload.arrays.size());
  for (std::size_t i = 0; i < targets.arrays.size(); ++i) {
    const Array& array = workload.arrays[i].array;
    const Array& target = targets.arrays[i].array;
    ASSERT_EQ(target.dtype(), array.dtype());
    ASSERT_EQ(target.shape(), array.shape());
    ASSERT_TRUE(std::ranges::equal(array.bytes(), target.bytes(), std::not_equal_to()));
  }
}

TEST_P(Workloads, AreTreesOfViewsUnderTheirPaths) {
  Workload workload = make_workload(GetParam(), kBytes, 1);
  const Tree tree = views_of(workload);
  const Tree places = mutable_views_of(workload);
  for (const NamedArray& named : workload.arrays) {
    const Tree* node = &tree;
    const Tree* place = &places;
    for (std::size_t at = 0; at < named.path.size();) {
      const std::string key = named.path.substr(at, named.path.find('/', at) - at);
      node = &node->as<Dict>().at(key);
      place = &place->as<Dict>().at(key);
      at += key.size() + 1;
    }
    const auto& view = node->as<ArrayView>();
    ASSERT_EQ(view.data(), named.array.bytes().data()) << named.path;
    ASSERT_EQ(view.shape(), named.array.shape()) << named.path;
    ASSERT_EQ(place->as<MutableArrayView>().data(), named.array.bytes().data()) << named.path;
  }
  EXPECT_EQ(flatten(tree).size(), workload.arrays.size());
}

TEST(Workload, OfAnUnknownNameIsRefused) {
  try {
    (void)make_workload("bert", kBytes, 1);
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("'bert'"));
  }
}

TEST(LlamaWorkload, HoldsWeightsTheirCopyAndAdamsMoments) {
  const Workload workload = make_workload("llama", kBytes, 1);
  const std::string path = "/model/layers/7/mlp/up_proj/weight";
  const auto weights = array_at(workload, "params" + path).values<bfloat16_t>();
  const auto master = array_at(workload, "master" + path).values<float>();
  const auto m = array_at(workload, "adam/m" + path).values<float>();
  const auto v = array_at(workload, "adam/v" + path).values<float>();
  ASSERT_EQ(weights.size(), master.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    ASSERT_NEAR(as_float(weights[i]), master[i], std::abs(master[i]) / 256);
  }
  const Moments first = moments_of(m);
  EXPECT_LT(std::abs(first.mean), first.sigma / 4);
  EXPECT_LT(first.sigma, 1e-3);
  EXPECT_GT(*std::ranges::min_element(v), 0);
  EXPECT_LT(*std::ranges::max_element(v), 1e-4);
  const auto norm = array_at(workload, "master/model/norm/weight").values<float>();
  for (const float scale : norm) EXPECT_NEAR(scale, 1, 0.5);
}

TEST(HugeWorkload, IsNormallyDistributed) {
  const Workload workload = make_workload("huge", kBytes, 1);
  const auto values = workload.arrays.front().array.values<float>();
  const Moments moments = moments_of(values);
  EXPECT_NEAR(moments.mean, 0, 1e-4);
  EXPECT_NEAR(moments.sigma, 0.02, 1e-4);
  const auto within = [&values](double sigmas) {
    const auto is_within = [=](float x) { return std::abs(x) < sigmas * 0.02; };
    return static_cast<double>(std::ranges::count_if(values, is_within)) /
           static_cast<double>(values.size());
  };
  EXPECT_NEAR(within(0.5), 0.3829, 0.002);
  EXPECT_NEAR(within(1), 0.6827, 0.002);
  EXPECT_NEAR(within(2), 0.9545, 0.001);
  EXPECT_NEAR(within(3), 0.9973, 0.0005);
}

TEST(HugeWorkload, BeginsAsASmallerOneDoes) {
  const Workload workload = make_workload("huge", kBytes, 1);
  const Workload half = make_workload("huge", kBytes / 2, 1);
  EXPECT_TRUE(text_of(workload.arrays[0].array).starts_with(text_of(half.arrays[0].array)));
}

TEST(UpdateRows, ChangesSoManyRowsInRuns) {
  const Workload before = make_workload("sparse", kBytes, 1);
  for (const double share : {0.01, 0.3, 1.0}) {
    Workload after = make_workload("sparse", kBytes, 1);
    update_rows(after, share, 1);
    for (std::size_t k = 0; k < before.arrays.size(); ++k) {
      const std::string_view a = text_of(before.arrays[k].array);
      const std::string_view b = text_of(after.arrays[k].array);
      const auto rows = static_cast<std::size_t>(before.arrays[k].array.shape()[0]);
      const std::size_t row = a.size() / rows;
      std::size_t changed = 0;
      std::size_t runs = 0;
      bool last = false;
      for (std::size_t i = 0; i < rows; ++i) {
        const bool differs = a.substr(i * row, row) != b.substr(i * row, row);
        changed += differs ? 1 : 0;
        runs += differs && !last ? 1 : 0;
        last = differs;
      }
      const double wanted = std::max(share * static_cast<double>(rows), 1.0);
      EXPECT_NEAR(static_cast<double>(changed), wanted, 1) << before.arrays[k].path;
      EXPECT_LE(runs, 8U);
    }
  }
}

TEST(UpdateRows, ChangesOtherRowsWithAnotherSeed) {
  const Workload before = make_workload("sparse", kBytes, 1);
  Workload one = make_workload("sparse", kBytes, 1);
  update_rows(one, 0.01, 1);
  Workload two = make_workload("sparse", kBytes, 1);
  update_rows(two, 0.01, 2);
  Workload again = make_workload("sparse", kBytes, 1);
  update_rows(again, 0.01, 1);
  EXPECT_NE(first_difference(one, two), "");
  EXPECT_EQ(first_difference(one, again), "");
  update_rows(again, 0, 5);
  EXPECT_EQ(first_difference(one, again), "");
}

TEST(UpdateRows, KeepsWhatTheNumbersAreLike) {
  Workload workload = make_workload("llama", kBytes, 1);
  update_rows(workload, 0.5, 1);
  for (const NamedArray& named : workload.arrays) {
    if (named.numbers != Numbers::second_moment) continue;
    EXPECT_GT(std::ranges::min(named.array.values<float>()), 0) << named.path;
  }
}

TEST(UpdateRows, RefusesMoreThanAll) {
  Workload workload = make_workload("sparse", kBytes, 1);
  EXPECT_THROW(update_rows(workload, 1.1, 1), std::invalid_argument);
  EXPECT_THROW(update_rows(workload, -0.1, 1), std::invalid_argument);
}

TEST(FirstDifference, SeesAByteANameAndAnArrayThatIsMissing) {
  const Workload workload = make_workload("llama_bf16", kBytes, 1);
  Workload other = make_workload("llama_bf16", kBytes, 1);
  auto& changed = other.arrays[200];
  changed.array.bytes().back() ^= std::byte{1};
  EXPECT_EQ(first_difference(workload, other), changed.path);
  changed.array.bytes().back() ^= std::byte{1};
  EXPECT_EQ(first_difference(workload, other), "");
  const std::string last = other.arrays.back().path;
  other.arrays.pop_back();
  EXPECT_EQ(first_difference(workload, other), last);
  EXPECT_EQ(first_difference(other, workload), last);
  other.arrays[3].path += "x";
  EXPECT_EQ(first_difference(workload, other), workload.arrays[3].path);
}

TEST(Fill, RefusesADtypeThatItDoesNotKnow) {
  Array array(DType::complex64, {4});
  EXPECT_THROW(fill({{.array = &array, .numbers = Numbers::weights, .seed = 1, .end = 4}}),
               std::invalid_argument);
}

TEST(OnAllCores, DoesEachOnce) {
  for (const std::size_t count : {0U, 1U, 5U, 1000U}) {
    std::vector<std::atomic<int>> calls(count);
    on_all_cores(count, [&calls](std::size_t i) { ++calls[i]; });
    for (const auto& number : calls) EXPECT_EQ(number, 1);
  }
}

}  // namespace
}  // namespace cairn::bench
