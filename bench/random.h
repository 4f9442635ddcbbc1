#pragma once
// Random numbers from one seed, the same everywhere, and how those of a checkpoint are distributed.

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace cairn::bench {

/// The output function of splitmix64, by Steele and others: all bits depend on all bits.
constexpr std::uint64_t scrambled(std::uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

/// xoshiro256++ by Blackman and Vigna, seeded by splitmix64: the standard's distributions differ
/// between libraries, and 10^8 normal numbers should not take minutes.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (auto& word : state_) word = scrambled(seed += 0x9e3779b97f4a7c15);
  }
  std::uint64_t next() {
    const auto result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const auto t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  /// In (0, 1).
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  /// N(0, 1), by Box and Muller.
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2 * std::log(uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  std::uint64_t state_[4];
  double spare_ = 0;
  bool has_spare_ = false;
};

inline std::uint16_t bfloat16_of(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  // To nearest, halves to even; what is generated is finite.
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline constexpr double kWeightSigma = 0.02;
/// Scales of single parameters' gradients: log-normal.
inline constexpr double kGradientScale = 1e-4, kGradientSpread = 1.0;
/// Of Adam.
inline constexpr double kBeta1 = 0.9, kBeta2 = 0.999;
/// What an average of Adam's over N(0, s^2) spreads by, in units of s.
inline double first_moment_share() {
  return std::sqrt((1 - kBeta1) / (1 + kBeta1));
}
/// The same over its square, in units of s^2.
inline double second_moment_noise() {
  return std::sqrt(2 * (1 - kBeta2) / (1 + kBeta2));
}

}  // namespace cairn::bench
