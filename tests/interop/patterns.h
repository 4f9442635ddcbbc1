#pragma once
// What the arrays of the interop tests hold: a formula over an array's number, here and in
// patterns.py, so that neither side trusts the other's reader.

#include <cairn/cairn.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace cairn::interop {

/// Bits that a dtype allows in a byte.
inline std::byte valid(DType dtype, std::uint64_t raw) {
  switch (dtype) {
    case DType::boolean:
      return static_cast<std::byte>(raw & 1);
    case DType::int2:
      return static_cast<std::byte>(((raw & 3) ^ 2) - 2);
    case DType::int4:
      return static_cast<std::byte>(((raw & 15) ^ 8) - 8);
    case DType::float4_e2m1fn:
      return static_cast<std::byte>(raw & 15);
    default:
      return static_cast<std::byte>(raw);
  }
}

inline std::uint64_t mixed(std::uint64_t seed, std::uint64_t k) {
  return (k * 131 + seed * 17 + (k >> 8) * 7) & 0xff;
}

/// The same without repetitions.
inline std::uint64_t scattered(std::uint64_t seed, std::uint64_t k) {
  std::uint64_t h = (k + seed * 1'000'003 + 1) * 0x9e3779b97f4a7c15;
  h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93;
  return (h ^ (h >> 32)) & 0xff;
}

/// Integers in which auto finds no repetition, so that it codes them plane by plane as it does
/// floats.
inline bool is_scattered(DType dtype) {
  return dtype == DType::int16 || dtype == DType::int32 || dtype == DType::int64;
}

/// Byte `k` of array number `seed`.
inline std::byte pattern(DType dtype, std::uint64_t seed, std::uint64_t k) {
  return valid(dtype, mixed(seed, k));
}

/// Bytes of the number that byte `k` is in: complex elements are two.
inline std::size_t number_bytes(DType dtype) {
  const bool complex = dtype == DType::complex64 || dtype == DType::complex128;
  return complex ? size_of(dtype) / 2 : size_of(dtype);
}

/// Byte `k` of an array that pays to encode: a number's last byte, where the exponent of a float
/// is, takes two values; the bytes of one-byte elements take sixteen.
inline std::byte smooth_pattern(DType dtype, std::uint64_t seed, std::uint64_t k) {
  const std::uint64_t raw = is_scattered(dtype) ? scattered(seed, k) : mixed(seed, k);
  const std::size_t size = number_bytes(dtype);
  if (size == 1) return valid(dtype, raw & 15);
  return static_cast<std::byte>(k % size == size - 1 ? 0x3c + (raw & 1) : raw);
}

using Pattern = std::byte (*)(DType, std::uint64_t, std::uint64_t);

inline Array make(DType dtype, Shape shape, std::uint64_t seed, Pattern byte = pattern) {
  Array array = Array::uninitialized(dtype, std::move(shape));
  const auto bytes = array.bytes();
  for (std::uint64_t k = 0; k < bytes.size(); ++k) bytes[k] = byte(dtype, seed, k);
  return array;
}

/// Elements of a "smooth" array: so many that its chunk has an extent of its own, and auto decides
/// about it by the load.
inline Index smooth_size(DType dtype) {
  constexpr std::size_t kBytes = 300'000;
  return static_cast<Index>(kBytes / size_of(dtype));
}

}  // namespace cairn::interop
