#pragma once
// Arrays for tests of codecs: numbers as weights have them, and bytes of every kind that a dtype
// allows. Apart from the tests, because sanitized ones are not optimized and this takes its time.

#include <cairn/codecs/array.h>

#include <cstdint>

namespace cairn::test {

/// N(0, 0.02^2), rounded to nearest even.
Array normal_bfloat16(Shape shape, std::uint64_t seed);

/// N(0, 1).
Array normal_float32(Shape shape, std::uint64_t seed);

/// Any bytes, made valid for the dtype; repeated often enough that a codec finds something.
Array bytes_of_every_kind(DType dtype, Shape shape, std::uint64_t seed);

}  // namespace cairn::test
