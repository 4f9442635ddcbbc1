#include <cairn/codecs/dtype.h>

#include <algorithm>
#include <array>
#include <cassert>

namespace cairn {
namespace {

struct Properties {
  DType dtype;
  std::string_view name;
  std::size_t size;
};

constexpr std::array<Properties, kDTypeCount> kProperties{{
    {DType::boolean, "bool", 1},
    {DType::int2, "int2", 1},
    {DType::int4, "int4", 1},
    {DType::int8, "int8", 1},
    {DType::int16, "int16", 2},
    {DType::int32, "int32", 4},
    {DType::int64, "int64", 8},
    {DType::uint8, "uint8", 1},
    {DType::uint16, "uint16", 2},
    {DType::uint32, "uint32", 4},
    {DType::uint64, "uint64", 8},
    {DType::float4_e2m1fn, "float4_e2m1fn", 1},
    {DType::float8_e3m4, "float8_e3m4", 1},
    {DType::float8_e4m3fn, "float8_e4m3fn", 1},
    {DType::float8_e4m3fnuz, "float8_e4m3fnuz", 1},
    {DType::float8_e4m3b11fnuz, "float8_e4m3b11fnuz", 1},
    {DType::float8_e5m2, "float8_e5m2", 1},
    {DType::float8_e5m2fnuz, "float8_e5m2fnuz", 1},
    {DType::float8_e8m0fnu, "float8_e8m0fnu", 1},
    {DType::float16, "float16", 2},
    {DType::bfloat16, "bfloat16", 2},
    {DType::float32, "float32", 4},
    {DType::float64, "float64", 8},
    {DType::complex64, "complex64", 8},
    {DType::complex128, "complex128", 16},
}};

consteval bool rows_are_in_enumeration_order() {
  for (std::size_t i = 0; i < kProperties.size(); ++i) {
    if (kProperties[i].dtype != static_cast<DType>(i)) return false;
  }
  return true;
}
static_assert(rows_are_in_enumeration_order(), "a row is found by its enumerator's number");

const Properties& properties(DType dtype) noexcept {
  const auto row = static_cast<std::size_t>(dtype);
  assert(row < kDTypeCount);
  return kProperties[row];
}

}  // namespace

std::size_t size_of(DType dtype) noexcept {
  return properties(dtype).size;
}

std::string_view name_of(DType dtype) noexcept {
  return properties(dtype).name;
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  const auto* row = std::find_if(kProperties.begin(), kProperties.end(),
                                 [&](const Properties& p) { return p.name == name; });
  if (row == kProperties.end()) return std::nullopt;
  return row->dtype;
}

}  // namespace cairn
