#pragma once
// Elements of one type as elements of another: what numpy's astype makes of them, and ml_dtypes'
// for its types, as both do on x86-64, bit for bit. ml_dtypes' types are bfloat16 and the floats
// of at most 8 bits.
//
// To floats: rounded to nearest, ties to even. What is beyond the largest number becomes infinity;
// NaN where the type has none; the largest number where it has neither (float4_e2m1fn).
//  - float64 and integers come to ml_dtypes' types by way of float32, and are rounded twice:
//    1 + 2^-8 + 2^-40 becomes 1 in bfloat16, though 1 + 2^-7 is nearer. float16 is rounded once.
//  - float8_e8m0fnu, which has neither 0 nor a sign, has NaN for both, and rounds ties up.
//  - NaN keeps its sign. It keeps its other bits between float16, float32 and float64 (but float32
//    and float64 make a signalling one of each other quiet) and from bfloat16 to float32 and
//    float64; otherwise it becomes the type's usual one. float4_e2m1fn, which has none, gets -0 for
//    it, and 0 if it is negative.
// To integers: from integers by wrapping, from floats by truncation. What becomes of numbers that
// the target cannot hold neither C++ nor numpy define, but numpy's results are steady, and ours:
//  - infinities of 8-bit floats become the largest and the lowest integer, and their NaN 0;
//  - other floats are truncated to int64 for 64 bits, to int32 for fewer, and wrapped. What int64
//  or
//    int32 cannot hold becomes its lowest number; uint64 holds what is below 2^64 as well.
//  - For uint32 numpy's result depends on where in its array a bfloat16, float32 or float64 lies.
//    Here, as for the smaller floats there, it is truncated to int64 and wrapped.
// To bool: true unless zero; of a complex number, unless both parts are zero. From complex: the
// real part. To complex: the imaginary part is 0.

#include <cairn/codecs/array.h>
#include <cairn/codecs/dtype.h>
#include <cairn/export.h>

#include <cstddef>
#include <span>

namespace cairn {

/// False for what astype refuses: int4 to int2, and between float8_e8m0fnu and the other floats of
/// at most 8 bits, int2 or int4.
[[nodiscard]] CAIRN_EXPORT bool castable(DType from, DType to) noexcept;

/// Casts dense elements. Neither place needs to be aligned; they must not overlap. Throws
/// std::invalid_argument when the types are not castable() or the sizes are not those of as many
/// elements.
CAIRN_EXPORT void cast(std::span<const std::byte> from, DType from_type, std::span<std::byte> to,
                       DType to_type);

/// Casts elements of `shape` from one strided place to another, as scatter_region() copies them:
/// strides are in bytes, one per axis, and may be negative. Throws std::invalid_argument on types
/// that are not castable() and strides of another rank.
CAIRN_EXPORT void cast_region(const std::byte* from, DType from_type,
                              std::span<const Index> from_strides, std::span<const Index> shape,
                              std::byte* to, DType to_type, std::span<const Index> to_strides);

}  // namespace cairn
