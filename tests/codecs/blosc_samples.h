#pragma once
// Contents for the tests of Blosc frames, and libblosc as the oracle that decodes them.

#include <blosc.h>
#include <cairn/codecs/blosc.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace cairn::blosc {

using Bytes = std::vector<std::byte>;

/// One seed for all; a failure prints it.
inline constexpr std::uint64_t kSeed = 20250311;

inline Bytes random_bytes(std::size_t count, std::uint64_t seed = kSeed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// float32 of N(0, 0.02^2), by Box and Muller: the standard's distributions differ between
/// libraries.
inline Bytes normal_floats(std::size_t count, std::uint64_t seed = kSeed) {
  std::mt19937_64 random(seed);
  const auto uniform = [&] { return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53; };
  Bytes bytes(count * sizeof(float));
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(0.02 * std::sqrt(-2 * std::log(uniform())) *
                                          std::cos(2 * std::numbers::pi * uniform()));
    std::memcpy(&bytes[i * sizeof(value)], &value, sizeof(value));
  }
  return bytes;
}

/// The upper halves of normal_floats(): bfloat16, rounded towards zero.
inline Bytes normal_bfloats(std::size_t count, std::uint64_t seed = kSeed) {
  const Bytes floats = normal_floats(count, seed);
  Bytes bytes(count * 2);
  for (std::size_t i = 0; i < count; ++i) std::memcpy(&bytes[i * 2], &floats[i * 4 + 2], 2);
  return bytes;
}

inline Bytes decode_by_libblosc(std::span<const std::byte> frame, std::size_t content_bytes) {
  // One byte more: an empty vector has no address.
  Bytes content(content_bytes + 1);
  const int size = blosc_decompress_ctx(frame.data(), content.data(), content_bytes, 1);
  EXPECT_EQ(size, static_cast<int>(content_bytes));
  content.resize(content_bytes);
  return content;
}

inline Bytes decoded(std::span<const std::byte> frame, std::size_t content_bytes) {
  Bytes content(content_bytes);
  decode(frame, content);
  return content;
}

}  // namespace cairn::blosc
