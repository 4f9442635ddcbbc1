#pragma once
// Element types: all that zarr, Orbax and safetensors store (TensorStore's data types).

#include <cairn/export.h>

#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

namespace cairn {

/// Every element type of TensorStore's zarr drivers.
enum class DType : std::uint8_t {
  boolean,
  int2,  ///< one byte per element, sign-extended; what is read becomes so
  int4,  ///< likewise
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float4_e2m1fn,  ///< one byte per element, unpacked
  float8_e3m4,
  float8_e4m3fn,
  float8_e4m3fnuz,
  float8_e4m3b11fnuz,
  float8_e5m2,
  float8_e5m2fnuz,
  float8_e8m0fnu,
  float16,
  bfloat16,
  float32,
  float64,
  complex64,
  complex128,
};
/// How many there are.
inline constexpr std::size_t kDTypeCount = static_cast<std::size_t>(DType::complex128) + 1;

/// Bytes of one element in memory and in a zarr chunk.
[[nodiscard]] CAIRN_EXPORT std::size_t size_of(DType dtype) noexcept;
/// zarr v3's name, which is ml_dtypes' and numpy's: "float32", "bfloat16", "bool", ...
[[nodiscard]] CAIRN_EXPORT std::string_view name_of(DType dtype) noexcept;
/// The inverse of name_of(); none when unknown.
[[nodiscard]] CAIRN_EXPORT std::optional<DType> dtype_from_name(std::string_view name) noexcept;

/// 16-bit floats as plain storage; arithmetic is the user's library's business (Eigen, ...).
struct bfloat16_t {
  std::uint16_t bits;
};
struct float16_t {
  std::uint16_t bits;
};

namespace detail {

// Integers go by size and sign, because `long` and `long long` are both 64 bits wide. Characters
// are text, not numbers; int8_t and uint8_t are the explicitly signed ones.
template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                  !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                  !std::same_as<T, char16_t> && !std::same_as<T, char32_t> && sizeof(T) <= 8;

template <class T>
concept Element = Integer<T> || std::same_as<T, bool> || std::same_as<T, float> ||
    std::same_as<T, double> || std::same_as<T, float16_t> || std::same_as<T, bfloat16_t> ||
    std::same_as<T, std::complex<float>> || std::same_as<T, std::complex<double>>;

}  // namespace detail

/// dtype_of<float>() == DType::float32; does not compile for a type that has none.
template <class T>
requires detail::Element<std::remove_cv_t<T>>
[[nodiscard]] consteval DType dtype_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::same_as<U, bool>) {
    return DType::boolean;
  } else if constexpr (detail::Integer<U>) {
    constexpr DType kSigned[] = {DType::int8, DType::int16, DType::int32, DType::int64};
    constexpr DType kUnsigned[] = {DType::uint8, DType::uint16, DType::uint32, DType::uint64};
    constexpr std::size_t kLog2 = sizeof(U) == 1 ? 0 : sizeof(U) == 2 ? 1 : sizeof(U) == 4 ? 2 : 3;
    return std::is_signed_v<U> ? kSigned[kLog2] : kUnsigned[kLog2];
  } else if constexpr (std::same_as<U, float>) {
    return DType::float32;
  } else if constexpr (std::same_as<U, double>) {
    return DType::float64;
  } else if constexpr (std::same_as<U, float16_t>) {
    return DType::float16;
  } else if constexpr (std::same_as<U, bfloat16_t>) {
    return DType::bfloat16;
  } else if constexpr (std::same_as<U, std::complex<float>>) {
    return DType::complex64;
  } else {
    return DType::complex128;
  }
}

}  // namespace cairn
