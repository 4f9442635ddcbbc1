#pragma once
// Floats of at most 16 bits as numbers. Sources: IEEE 754; OCP 8-bit floating point and
// microscaling formats; ml_dtypes for the variants with fnuz.

#include <cairn/codecs/dtype.h>

#include <cstdint>

namespace cairn::internal {

/// True for float16, bfloat16, the 8-bit floats and float4_e2m1fn, but not float8_e8m0fnu.
[[nodiscard]] bool is_small_float(DType dtype) noexcept;
/// The value of `bits`; exact.
[[nodiscard]] double small_float_to_double(DType dtype, std::uint16_t bits) noexcept;
/// Rounded to nearest, ties to even; beyond the largest: infinity, NaN where the type has none, and
/// the largest where it has neither. NaN becomes small_float_nan().
[[nodiscard]] std::uint16_t small_float_from_double(DType dtype, double value) noexcept;
/// The bits that "NaN" stands for in a zarr fill value; for float4_e2m1fn, which has none, -0.
[[nodiscard]] std::uint16_t small_float_nan(DType dtype) noexcept;

}  // namespace cairn::internal
