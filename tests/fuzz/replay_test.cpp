// The fuzz targets without a fuzzer, in every preset: the seeds, the inputs that once found a
// defect, and some mutations by the targets' own mutators.

#include <fuzz/harness.h>
#include <gtest/gtest.h>
#include <support/seed.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace cairn::fuzz {

// For gtest, which would print a struct's bytes.
void PrintTo(const Target& target, std::ostream* out) {
  *out << target.name;
}

namespace {

const auto kSeed = static_cast<std::uint32_t>(test::make_seed());
constexpr int kMutations = 500;
constexpr std::size_t kInputBytesMax = 4096;
const std::filesystem::path kRegressions = "tests/fuzz/regressions";

/// As libFuzzer does, only without looking at what it reaches: bytes that change, come and go.
std::size_t change_bytes(std::uint8_t* data, std::size_t size, std::size_t max_size) {
  static std::minstd_rand random(kSeed);
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : random() % n; };
  for (auto changes = below(4) + 1; changes > 0; --changes) {
    const auto at = below(size);
    if (size < max_size && below(4) == 0) {
      std::memmove(data + at + 1, data + at, size - at);
      data[at] = static_cast<std::uint8_t>(random());
      ++size;
    } else if (size > 0 && below(4) == 0) {
      std::memmove(data + at, data + at + 1, size - at - 1);
      --size;
    } else if (size > 0) {
      data[at] = below(2) == 0 ? static_cast<std::uint8_t>(random())
                               : static_cast<std::uint8_t>(data[at] + below(3) - 1);
    }
  }
  return size;
}

// A finding must say which input it was: an exception alone would not.
void expect_kept(const Target& target, std::string_view input, const std::string& what) {
  SCOPED_TRACE(std::string(target.name) + ", " + what);
  try {
    target.check(input);
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what() << ", input: " << testing::PrintToString(std::string(input));
  }
}

class FuzzTarget : public testing::TestWithParam<Target> {
 protected:
  static Seeds seeds() {
    const TestData data(CAIRN_TEST_DATA);
    return GetParam().seeds == nullptr ? Seeds{} : GetParam().seeds(data);
  }
};

TEST_P(FuzzTarget, HoldsForItsSeeds) {
  const auto all = seeds();
  EXPECT_FALSE(all.empty());
  for (std::size_t i = 0; i < all.size(); ++i) {
    expect_kept(GetParam(), all[i], "seed " + std::to_string(i));
  }
}

TEST_P(FuzzTarget, HoldsForWhatOnceBrokeIt) {
  const auto folder = kRegressions / GetParam().name;
  if (!std::filesystem::exists(folder)) return;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(stream), {}};
    expect_kept(GetParam(), input, file.path().string());
  }
}

TEST_P(FuzzTarget, HoldsForMutationsOfItsSeeds) {
  const auto all = seeds();
  ASSERT_FALSE(all.empty());
  for (int i = 0; i < kMutations; ++i) {
    Mutation mutation(kSeed + static_cast<std::uint32_t>(i), kInputBytesMax, change_bytes);
    auto input = all[mutation.below(all.size())];
    for (auto rounds = mutation.below(4) + 1; rounds > 0; --rounds) {
      input = GetParam().mutate == nullptr ? mutation.of_bytes(input)
                                           : GetParam().mutate(input, mutation);
    }
    expect_kept(GetParam(), input, "mutation " + std::to_string(i));
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, FuzzTarget, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& tested) { return std::string(tested.param.name); });

// A regression whose target is gone, or misspelt, would never be replayed.
TEST(FuzzRegressions, BelongToTargets) {
  for (const auto& folder : std::filesystem::directory_iterator(kRegressions)) {
    if (!folder.is_directory()) continue;
    const auto all = targets();
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const Target& target) {
      return target.name == folder.path().filename().string();
    })) << folder.path();
  }
}

}  // namespace
}  // namespace cairn::fuzz
