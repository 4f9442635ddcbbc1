#include <cairn/codecs/internal/small_float.h>
#include <cairn/codecs/statistics.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace cairn {
namespace {

static_assert(std::numeric_limits<long double>::digits >= 64, "extremes hold every 64-bit integer");

/// Adds elements of type T, turned into numbers by `to_number`.
template <class T, class ToNumber>
Statistics gather(std::span<const std::byte> elements, ToNumber to_number) {
  using Number = decltype(to_number(T{}));
  Statistics result;
  result.count = elements.size() / sizeof(T);
  bool any = false;
  Number min{};
  Number max{};
  // Summed in blocks: a block's sum in double is exact enough, and the compiler can vectorize it.
  constexpr std::size_t kBlock = 4096;
  for (std::size_t begin = 0; begin < result.count; begin += kBlock) {
    const std::size_t end = std::min<std::size_t>(result.count, begin + kBlock);
    long double sum = 0;
    for (std::size_t i = begin; i < end; ++i) {
      T element;
      std::memcpy(&element, elements.data() + i * sizeof(T), sizeof(T));
      const Number number = to_number(element);
      if constexpr (std::is_floating_point_v<Number>) {
        if (std::isnan(number)) {
          ++result.nans;
          continue;
        }
        if (std::isinf(number)) {
          ++result.infinite;
        } else {
          sum += number;
        }
      } else {
        sum += static_cast<long double>(number);
      }
      min = any ? std::min(min, number) : number;
      max = any ? std::max(max, number) : number;
      any = true;
    }
    result.sum += sum;
  }
  result.min = static_cast<long double>(min);
  result.max = static_cast<long double>(max);
  return result;
}

template <class T>
Statistics gather(std::span<const std::byte> elements) {
  return gather<T>(elements, [](T value) { return value; });
}

/// 8- and 4-bit floats by a table: there are 256 of them.
Statistics gather_bytes(DType dtype, std::span<const std::byte> elements) {
  std::array<double, 256> values{};
  for (std::size_t bits = 0; bits < values.size(); ++bits) {
    if (dtype == DType::float8_e8m0fnu) {
      // A power of two by its exponent; all ones is NaN (OCP microscaling formats 1.0).
      values[bits] = bits == 255 ? std::numeric_limits<double>::quiet_NaN()
                                 : std::ldexp(1.0, static_cast<int>(bits) - 127);
    } else {
      values[bits] = internal::small_float_to_double(dtype, static_cast<std::uint16_t>(bits));
    }
  }
  return gather<std::uint8_t>(elements, [&values](std::uint8_t bits) { return values[bits]; });
}

struct Complex64 {
  float re;
  float im;
};
struct Complex128 {
  double re;
  double im;
};

Statistics gather_dtype(DType dtype, std::span<const std::byte> elements) {
  switch (dtype) {
    case DType::boolean:
      return gather<std::uint8_t>(elements, [](std::uint8_t v) { return v != 0 ? 1 : 0; });
    case DType::int2:
    case DType::int4:
    case DType::int8:
      return gather<std::int8_t>(elements);
    case DType::int16:
      return gather<std::int16_t>(elements);
    case DType::int32:
      return gather<std::int32_t>(elements);
    case DType::int64:
      return gather<std::int64_t>(elements);
    case DType::uint8:
      return gather<std::uint8_t>(elements);
    case DType::uint16:
      return gather<std::uint16_t>(elements);
    case DType::uint32:
      return gather<std::uint32_t>(elements);
    case DType::uint64:
      return gather<std::uint64_t>(elements);
    case DType::float4_e2m1fn:
    case DType::float8_e3m4:
    case DType::float8_e4m3fn:
    case DType::float8_e4m3fnuz:
    case DType::float8_e4m3b11fnuz:
    case DType::float8_e5m2:
    case DType::float8_e5m2fnuz:
    case DType::float8_e8m0fnu:
      return gather_bytes(dtype, elements);
    case DType::float16:
      return gather<std::uint16_t>(elements, [](std::uint16_t bits) {
        return internal::small_float_to_double(DType::float16, bits);
      });
    case DType::bfloat16:
      return gather<std::uint16_t>(elements, [](std::uint16_t bits) {
        const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
        float value = 0;
        std::memcpy(&value, &wide, sizeof(value));
        return value;
      });
    case DType::float32:
      return gather<float>(elements);
    case DType::float64:
      return gather<double>(elements);
    case DType::complex64:
      return gather<Complex64>(elements, [](Complex64 v) {
        return std::hypot(static_cast<double>(v.re), static_cast<double>(v.im));
      });
    case DType::complex128:
      return gather<Complex128>(elements, [](Complex128 v) { return std::hypot(v.re, v.im); });
  }
  return {};
}

}  // namespace

long double Statistics::mean() const noexcept {
  return finite() == 0 ? 0 : sum / static_cast<long double>(finite());
}

void Statistics::add(DType dtype, std::span<const std::byte> elements) {
  if (elements.size() % size_of(dtype) != 0) {
    throw std::invalid_argument(std::to_string(elements.size()) +
                                " bytes are no whole number of elements of " +
                                std::string(name_of(dtype)));
  }
  merge(gather_dtype(dtype, elements));
}

void Statistics::add_copies(DType dtype, std::span<const std::byte> element, std::uint64_t copies) {
  if (copies == 0) return;
  const std::vector<std::byte> zero(size_of(dtype));
  Statistics one;
  one.add(dtype, element.empty() ? std::span<const std::byte>(zero) : element);
  one.count *= copies;
  one.nans *= copies;
  one.infinite *= copies;
  one.sum *= static_cast<long double>(copies);
  merge(one);
}

void Statistics::merge(const Statistics& other) {
  // Extremes mean nothing where every element is NaN.
  if (other.count > other.nans) {
    const bool first = count == nans;
    min = first ? other.min : std::min(min, other.min);
    max = first ? other.max : std::max(max, other.max);
  }
  count += other.count;
  nans += other.nans;
  infinite += other.infinite;
  sum += other.sum;
}

}  // namespace cairn
