#pragma once
// Element types: all that zarr, Orbax and safetensors store (TensorStore's data types).

#include <cairn/export.h>

#include <complex>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cairn {

enum class DType : std::uint8_t {
  boolean,
  int2,  ///< one byte per element, sign-extended, as TensorStore stores it
  int4,  ///< likewise
  int8, int16, int32, int64,
  uint8, uint16, uint32, uint64,
  float4_e2m1fn,  ///< one byte per element, unpacked
  float8_e3m4, float8_e4m3fn, float8_e4m3fnuz, float8_e4m3b11fnuz, float8_e5m2, float8_e5m2fnuz,
  float8_e8m0fnu,
  float16, bfloat16, float32, float64,
  complex64, complex128,
};
inline constexpr std::size_t kDTypeCount = static_cast<std::size_t>(DType::complex128) + 1;

/// Bytes of one element in memory and on disk.
[[nodiscard]] CAIRN_EXPORT std::size_t size_of(DType dtype) noexcept;
/// zarr v3's name, which is ml_dtypes' and numpy's: "float32", "bfloat16", "bool", ...
[[nodiscard]] CAIRN_EXPORT std::string_view name_of(DType dtype) noexcept;
/// The inverse of name_of(); none when unknown.
[[nodiscard]] CAIRN_EXPORT std::optional<DType> dtype_from_name(std::string_view name) noexcept;

/// 16-bit floats as plain storage; arithmetic is the user's library's business (Eigen, ...).
struct bfloat16_t { std::uint16_t bits; };
struct float16_t { std::uint16_t bits; };

/// dtype_of<float>() == DType::float32; does not compile for a type that has none.
template <class T>
[[nodiscard]] consteval DType dtype_of();

}  // namespace cairn
