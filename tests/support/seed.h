#pragma once
// One seed for each random test, printed, so that a failure can be run again:
// CAIRN_TEST_SEED=<the printed number>.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace cairn::test {

inline std::uint64_t make_seed() {
  const char* given = std::getenv("CAIRN_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::printf("CAIRN_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace cairn::test
