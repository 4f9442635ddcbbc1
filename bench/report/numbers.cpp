#include "report/numbers.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

#include "random.h"

namespace cairn::bench {
namespace {

/// Each block of so many elements has a generator of its own.
constexpr Index kBlockElements = Index{1} << 16;

/// The inverse of the normal distribution's function, by bisection.
double normal_quantile(double p) {
  double low = -10;
  double high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    const bool below = std::erfc(-middle / std::numbers::sqrt2) / 2 < p;
    (below ? low : high) = middle;
  }
  return (low + high) / 2;
}

constexpr unsigned kSteps = 2048;  // 16 KiB: the tables stay in the first cache
constexpr unsigned kFractionBits = 32 - 11;
static_assert(kSteps == 1U << (32 - kFractionBits));

/// N(0, 1) by straight lines between quantiles: a multiplication for each number. The outer lines
/// end where their mean is about that of what lies beyond.
class NormalTable {
 public:
  NormalTable() {
    constexpr double kEnd = 4;
    double left = -kEnd;
    for (unsigned i = 0; i < kSteps; ++i) {
      const double right = i + 1 == kSteps ? kEnd : normal_quantile((i + 1.0) / kSteps);
      lines_[i] = {static_cast<float>(left),
                   static_cast<float>((right - left) / (1U << kFractionBits))};
      left = right;
    }
  }
  [[nodiscard]] float at(std::uint32_t draw) const {
    const Line& line = lines_[draw >> kFractionBits];
    const auto fraction = static_cast<std::int32_t>(draw & ((1U << kFractionBits) - 1));
    return line.left + line.slope * static_cast<float>(fraction);
  }

 private:
  struct Line {
    float left;
    float slope;
  };
  std::array<Line, kSteps> lines_{};
};

/// What numbers are made with.
struct Tables {
  NormalTable normal{};
  std::array<float, kSteps> scales{};  ///< of gradients, log-normal, drawn from at random
  float first_share = static_cast<float>(first_moment_share());
  float second_noise = static_cast<float>(second_moment_noise());

  Tables() {
    for (unsigned i = 0; i < kSteps; ++i) {
      const double spread = kGradientSpread * normal_quantile((i + 0.5) / kSteps);
      scales[i] = static_cast<float>(kGradientScale * std::exp(spread));
    }
  }
};

/// One float of each kind, from 64 random bits.
template <Numbers kNumbers>
float number(const Tables& tables, std::uint64_t draw) {
  const float normal = tables.normal.at(static_cast<std::uint32_t>(draw >> 32));
  const float scale = tables.scales[draw % kSteps];
  switch (kNumbers) {
    case Numbers::weights:
      return static_cast<float>(kWeightSigma) * normal;
    case Numbers::scales:
      return 1 + 0.1f * normal;
    case Numbers::first_moment:
      return tables.first_share * scale * normal;
    case Numbers::second_moment:
      return scale * scale * std::abs(1 + tables.second_noise * normal);
  }
}

void store(float value, Random&, float& to) {
  to = value;
}
void store(float value, Random&, bfloat16_t& to) {
  to.bits = bfloat16_of(value);
}
void store(float value, Random& random, double& to) {
  // A float leaves the lower half of the mantissa empty.
  to = value * (1 + static_cast<double>(random.next() >> 32) * 0x1p-56);
}

template <Numbers kNumbers, class T>
void fill_floats(std::span<T> values, const Tables& tables, Random& random) {
  for (T& value : values) store(number<kNumbers>(tables, random.next()), random, value);
}

template <class T>
void fill_floats(std::span<T> values, Numbers numbers, const Tables& tables, Random& random) {
  switch (numbers) {
    case Numbers::weights:
      return fill_floats<Numbers::weights>(values, tables, random);
    case Numbers::scales:
      return fill_floats<Numbers::scales>(values, tables, random);
    case Numbers::first_moment:
      return fill_floats<Numbers::first_moment>(values, tables, random);
    case Numbers::second_moment:
      return fill_floats<Numbers::second_moment>(values, tables, random);
  }
}

/// Positive and below 2^30.
template <class T>
void fill_indices(std::span<T> values, Random& random) {
  for (T& value : values) value = static_cast<T>(random.next() >> 34 | 1);
}

void fill_quantized(std::span<std::int8_t> values, const Tables& tables, Random& random) {
  for (std::int8_t& value : values) {
    const float weight = 32 * tables.normal.at(static_cast<std::uint32_t>(random.next() >> 32));
    value = static_cast<std::int8_t>(std::clamp(std::nearbyint(weight), -127.f, 127.f));
  }
}

void fill_noise(std::span<std::uint8_t> values, Random& random) {
  for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(random.next() >> 56);
}

void fill_block(const Filling& block) {
  const auto with = [&block]<class T>(T) {
    return block.array->values<T>().subspan(static_cast<std::size_t>(block.begin),
                                            static_cast<std::size_t>(block.end - block.begin));
  };
  static const Tables tables;
  Random random(block.seed);
  switch (block.array->dtype()) {
    case DType::float32:
      return fill_floats(with(float{}), block.numbers, tables, random);
    case DType::float64:
      return fill_floats(with(double{}), block.numbers, tables, random);
    case DType::bfloat16:
      return fill_floats(with(bfloat16_t{}), block.numbers, tables, random);
    case DType::int8:
      return fill_quantized(with(std::int8_t{}), tables, random);
    case DType::uint8:
      return fill_noise(with(std::uint8_t{}), random);
    case DType::int32:
      return fill_indices(with(std::int32_t{}), random);
    case DType::int64:
      return fill_indices(with(std::int64_t{}), random);
    default:
      break;  // refused before
  }
}

void check_dtype(DType dtype) {
  constexpr DType kKnown[] = {DType::float32, DType::float64, DType::bfloat16, DType::int8,
                              DType::uint8,   DType::int32,   DType::int64};
  if (std::ranges::find(kKnown, dtype) != std::end(kKnown)) return;
  throw std::invalid_argument("no numbers for arrays of " + std::string(name_of(dtype)));
}

}  // namespace

void fill(const std::vector<Filling>& fillings) {
  std::vector<Filling> blocks;
  for (const Filling& filling : fillings) {
    check_dtype(filling.array->dtype());
    std::uint64_t seed = scrambled(filling.seed);
    for (Index begin = filling.begin; begin < filling.end; begin += kBlockElements) {
      const Index end = std::min(begin + kBlockElements, filling.end);
      blocks.push_back({filling.array, filling.numbers, scrambled(seed++), begin, end});
    }
  }
  on_all_cores(blocks.size(), [&blocks](std::size_t i) { fill_block(blocks[i]); });
}

void on_all_cores(std::size_t count, const std::function<void(std::size_t)>& work) {
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t at_once = std::max<std::size_t>(1, count / (cores * 64));
  std::atomic<std::size_t> next = 0;
  const auto run = [&] {
    for (std::size_t begin = 0; (begin = next.fetch_add(at_once)) < count;) {
      for (std::size_t i = begin; i < std::min(begin + at_once, count); ++i) work(i);
    }
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < std::min(cores, count); ++i) others.emplace_back(run);
  run();
}

}  // namespace cairn::bench
