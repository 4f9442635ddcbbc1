#pragma once
// The trainer's random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
// Not std::mt19937 with std::uniform_*_distribution: their results are the library's choice, and a
// run must be repeatable from the four words that a checkpoint holds.

#include <array>
#include <bit>
#include <cstdint>

namespace trainer {

class Rng {
 public:
  using State = std::array<std::uint64_t, 4>;

  explicit Rng(std::uint64_t seed) {
    for (std::uint64_t& word : state_) word = splitmix64(seed);
  }
  explicit Rng(const State& state) : state_(state) {}

  [[nodiscard]] const State& state() const { return state_; }

  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// Uniform in [0, bound). The modulo's bias is below 2^-32 for the bounds used here (corpus
  /// sizes).
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

  /// Uniform in [-1, 1), a multiple of 2^-23: exact in float.
  float symmetric() { return static_cast<float>(next() >> 40) * 0x1p-23F - 1.0F; }

 private:
  static std::uint64_t splitmix64(std::uint64_t& seed) {
    seed += 0x9e3779b97f4a7c15U;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  State state_{};
};

}  // namespace trainer
