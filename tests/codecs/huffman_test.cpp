// Codes and their descriptions, without a frame around them.

#include <cairn/codecs/internal/huffman.h>
#include <cairn/codecs/internal/plane_statistics.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "codecs/blosc_samples.h"

namespace cairn::blosc::internal {
namespace {

std::vector<Histogram> histograms() {
  std::vector<Histogram> all;
  const auto add = [&](std::size_t kinds, auto count) {
    Histogram histogram{};
    for (std::size_t i = 0; i < kinds; ++i) histogram[i] = static_cast<std::uint32_t>(count(i));
    all.push_back(histogram);
  };
  for (const std::size_t kinds : {2U, 3U, 5U, 100U, 128U, 129U, 255U, 256U}) {
    add(kinds, [](auto) { return 1; });
    add(kinds, [](auto i) { return i + 1; });
    add(kinds, [](auto i) { return i * i * i + 1; });
    // Deeper than 11 bits.
    add(kinds, [](auto i) { return std::size_t{1} << std::min<std::size_t>(i, 20); });
    add(kinds, [](auto i) { return i == 0 ? 1 << 20 : 1; });
  }
  double a = 1, b = 1;
  add(40, [&](auto) { return std::exchange(a, std::exchange(b, a + b)); });
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 200; ++round) {
    const auto bits = 1 + random() % 20;
    add(2 + random() % 255, [&](auto) { return 1 + random() % (std::size_t{1} << bits); });
  }
  return all;
}

// Package-merge (Larmore and Hirschberg): the bits of the best code of at most 11 bits.
std::uint64_t best_bits(const Histogram& histogram) {
  using Package = std::pair<std::uint64_t, std::vector<std::uint8_t>>;  // weight, symbols in it
  std::vector<Package> leaves;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    if (histogram[symbol] == 0) continue;
    leaves.push_back({histogram[symbol], {static_cast<std::uint8_t>(symbol)}});
  }
  std::vector<Package> packages;
  for (unsigned level = 0; level < kCodeBitsMax; ++level) {
    std::vector<Package> next = leaves;
    for (std::size_t i = 0; i + 1 < packages.size(); i += 2) {
      next.push_back(packages[i]);
      next.back().first += packages[i + 1].first;
      next.back().second.insert(next.back().second.end(), packages[i + 1].second.begin(),
                                packages[i + 1].second.end());
    }
    std::stable_sort(next.begin(), next.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    packages = std::move(next);
  }
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 2 * leaves.size() - 2; ++i) bits += packages[i].first;
  return bits;
}

TEST(HuffmanCode, IsCompleteAndNoLongerThan11Bits) {
  for (const auto& histogram : histograms()) {
    const auto code = make_code(histogram);
    unsigned sum = 0;
    for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
      EXPECT_EQ(code.lengths[symbol] != 0, histogram[symbol] != 0);
      EXPECT_LE(code.lengths[symbol], kCodeBitsMax);
      if (code.lengths[symbol] == 0) continue;
      EXPECT_LT(code.codes[symbol], 1U << code.lengths[symbol]);
      sum += 1U << (kCodeBitsMax - code.lengths[symbol]);
    }
    EXPECT_EQ(sum, 1U << kCodeBitsMax);
  }
}

TEST(HuffmanCode, IsWithinThreePercentOfTheBest) {
  auto all = histograms();
  all.resize(100);
  for (const auto& histogram : all) {
    const auto bits = coded_symbols(histogram, make_code(histogram)).bits;
    EXPECT_LE(static_cast<double>(bits), 1.03 * static_cast<double>(best_bits(histogram)));
  }
}

TEST(HuffmanCode, CoversOnlyItsOwnSymbols) {
  Histogram histogram{};
  histogram[3] = histogram[9] = 5;
  const auto code = make_code(histogram);
  EXPECT_EQ(coded_symbols(histogram, code).bits, 10U);
  EXPECT_EQ(coded_symbols(histogram, code).uncoded, 0U);
  histogram[4] = 1;
  EXPECT_EQ(coded_symbols(histogram, code).uncoded, 1U);
}

TEST(HuffmanDescription, RoundTrips) {
  for (const auto& histogram : histograms()) {
    const auto code = make_code(histogram);
    Bytes description(kDescriptionBytesMax);
    const auto size = write_description(code, description.data());
    ASSERT_LE(size, kDescriptionBytesMax);
    if (size == 0) {
      // All but the last of 8 bits: nothing that anyone would want to code.
      EXPECT_TRUE(std::all_of(code.lengths.begin(), code.lengths.begin() + 254,
                              [](auto length) { return length == 8; }));
      continue;
    }
    HuffmanCode read;
    EXPECT_EQ(read_description(std::span(description).first(size), read), size);
    EXPECT_EQ(read.lengths, code.lengths);
    EXPECT_EQ(read.codes, code.codes);
    for (std::size_t cut = 0; cut < size; ++cut) {
      EXPECT_EQ(read_description(std::span(description).first(cut), read), 0U) << cut;
    }
  }
}

TEST(HuffmanDescription, IsReadFromAnythingWithoutHarm) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  std::size_t read_ones = 0;
  for (int round = 0; round < 50'000; ++round) {
    Bytes bytes(1 + random() % 40);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    bytes[0] = static_cast<std::byte>(random() % 2 == 0 ? bytes.size() - 1 : random());
    HuffmanCode code;
    const auto size = read_description(bytes, code);
    EXPECT_LE(size, bytes.size());
    if (size == 0) continue;
    ++read_ones;
    unsigned sum = 0;
    for (const auto length : code.lengths) {
      if (length != 0) sum += 1U << (kCodeBitsMax - length);
    }
    ASSERT_EQ(sum, 1U << kCodeBitsMax);
  }
  EXPECT_GT(read_ones, 0U);
}

TEST(PlaneStatistics, EntropyOfASampleIsNearThatOfItsSource) {
  const auto noise = random_bytes(4'096);
  EXPECT_NEAR(entropy(count_symbols(noise), noise.size()), 8, 0.02);
  Bytes coin(10'000);
  for (std::size_t i = 0; i < coin.size(); i += 2) coin[i] = std::byte{1};
  EXPECT_NEAR(entropy(count_symbols(coin), coin.size()), 1, 0.001);
}

TEST(PlaneStatistics, SampleTellsExponentsFromMantissas) {
  const auto floats = normal_bfloats(300'000);
  Bytes mantissas, exponents;
  for (std::size_t i = 0; i < floats.size(); i += 2) {
    mantissas.push_back(floats[i]);
    exponents.push_back(floats[i + 1]);
  }
  EXPECT_FALSE(seems_compressible(mantissas));
  EXPECT_TRUE(seems_compressible(exponents));
}

TEST(EstimateRatio, IsNearWhatTheEncoderReaches) {
  const auto bfloats = normal_bfloats(1'000'000);
  const auto floats = normal_floats(500'000);
  Bytes half_zero = floats;
  std::fill(half_zero.begin(), half_zero.begin() + 1'000'000, std::byte{});
  const std::pair<const Bytes*, std::size_t> cases[] = {
      {&bfloats, 2}, {&floats, 4}, {&floats, 8}, {&floats, 1}, {&half_zero, 4}, {&floats, 3}};
  for (const auto& [content, typesize] : cases) {
    Bytes frame(frame_bound(content->size()));
    const auto size = encode_planes(*content, typesize, frame);
    const auto reached = static_cast<double>(content->size()) / static_cast<double>(size);
    const double estimated = estimate_ratio(*content, typesize);
    // A mixture is coded block by block, and better than one distribution for all of it tells.
    if (content == &half_zero) {
      EXPECT_LT(estimated, reached);
    } else {
      EXPECT_NEAR(estimated / reached, 1, 0.02) << typesize;
    }
  }
}

TEST(EstimateRatio, IsOneForNoiseAndForNothing) {
  EXPECT_NEAR(estimate_ratio(random_bytes(1'000'000), 4), 1, 0.001);
  EXPECT_LE(estimate_ratio(random_bytes(1'000'000), 4), 1);
  EXPECT_EQ(estimate_ratio({}, 4), 1);
  EXPECT_EQ(estimate_ratio(random_bytes(3), 4), 1);
  EXPECT_GT(estimate_ratio(Bytes(1'000'000), 4), 100);
}

}  // namespace
}  // namespace cairn::blosc::internal
