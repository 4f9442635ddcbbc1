#include <cairn/codecs/internal/cast_number.h>
#include <cairn/codecs/internal/cast_steps.h>
#include <cairn/codecs/internal/small_float.h>

#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>

namespace cairn::internal {
namespace {

constexpr std::size_t kRealTypes = static_cast<std::size_t>(DType::complex64);

constexpr bool is_integer(DType dtype) noexcept {
  return dtype >= DType::int2 && dtype <= DType::uint64;
}

constexpr bool is_byte_float(DType dtype) noexcept {
  return dtype >= DType::float4_e2m1fn && dtype <= DType::float8_e8m0fnu;
}

/// Whose rules for infinities and NaN hold, by the type that is cast.
enum class Rules : std::uint8_t {
  numpy,      ///< NaN keeps its bits in float16
  bfloat16,   ///< NaN is the usual one
  byte_float  ///< so it is; of integers infinity is the largest, NaN is 0
};
constexpr Rules rules_of(DType from) noexcept {
  if (is_byte_float(from)) return Rules::byte_float;
  return from == DType::bfloat16 ? Rules::bfloat16 : Rules::numpy;
}

/// What an element of a type looks like in memory.
template <DType kType>
consteval auto element_of() {
  using enum DType;
  if constexpr (kType == int8 || kType == int2 || kType == int4) return std::int8_t{};
  if constexpr (kType == int16) return std::int16_t{};
  if constexpr (kType == int32) return std::int32_t{};
  if constexpr (kType == int64) return std::int64_t{};
  if constexpr (kType == uint16 || kType == float16 || kType == bfloat16) return std::uint16_t{};
  if constexpr (kType == uint32) return std::uint32_t{};
  if constexpr (kType == uint64) return std::uint64_t{};
  if constexpr (kType == float32) return float{};
  if constexpr (kType == float64) return double{};
  if constexpr (kType == boolean || kType == uint8 || is_byte_float(kType)) return std::uint8_t{};
}
template <DType kType>
using Element = decltype(element_of<kType>());

/// The numbers of all 256 bytes.
template <DType kFrom>
std::array<float, 256> byte_float_values() {
  std::array<float, 256> values{};
  for (unsigned byte = 0; byte < values.size(); ++byte) {
    if constexpr (kFrom == DType::float8_e8m0fnu) {
      const bool nan = byte == values.size() - 1;
      values[byte] = nan ? std::numeric_limits<float>::quiet_NaN()
                         : std::ldexp(1.0F, static_cast<int>(byte) - kBias<float>);
    } else {
      const unsigned sign = small_float_format(kFrom).sign_bit();
      const auto bits = static_cast<std::uint16_t>(byte & (2 * sign - 1));
      const auto value = static_cast<float>(small_float_to_double(kFrom, bits));
      // Which sign the only NaN of a type has shows here alone.
      values[byte] =
          std::isnan(value) ? std::copysign(value, (bits & sign) != 0 ? -1.0F : 1.0F) : value;
    }
  }
  return values;
}

/// An element as a number.
template <DType kFrom, class Number>
struct Load {
  Number operator()(Element<kFrom> element) const noexcept {
    if constexpr (kFrom == DType::boolean) {
      return element != 0;
    } else if constexpr (kFrom == DType::int2) {
      return sign_extend<2>(element);
    } else if constexpr (kFrom == DType::int4) {
      return sign_extend<4>(element);
    } else if constexpr (kFrom == DType::float16) {
      return widen_float16<Number>(element);
    } else if constexpr (kFrom == DType::bfloat16) {
      return widen_bfloat16(element);
    } else {
      return element;
    }
  }
};

template <DType kFrom, class Number>
requires(is_byte_float(kFrom)) struct Load<kFrom, Number> {
  Load() {
    static const std::array<float, 256> kValues = byte_float_values<kFrom>();
    values = kValues.data();
  }
  Number operator()(std::uint8_t element) const noexcept { return values[element]; }
  const float* values;
};

/// A number as an element.
template <DType kTo, Rules kRules, class Number>
struct Store {
  Element<kTo> operator()(Number number) const noexcept {
    if constexpr (kTo == DType::boolean) {
      // By its bits: a processor that is told to take tiny numbers for zero would compare so.
      if constexpr (std::floating_point<Number>) {
        return (std::bit_cast<BitsOf<Number>>(number) << 1) != 0;
      } else {
        return number != 0;
      }
    } else if constexpr (kTo == DType::int2 || kTo == DType::int4) {
      return sign_extend < kTo == DType::int2 ? 2 : 4 > (integer<std::int32_t>(number));
    } else if constexpr (is_integer(kTo)) {
      return integer<Element<kTo>>(number);
    } else if constexpr (kTo == DType::float32 || kTo == DType::float64) {
      return static_cast<Element<kTo>>(number);
    } else if constexpr (kTo == DType::float8_e8m0fnu) {
      return narrow_to_exponent(static_cast<float>(number));
    } else if constexpr (kTo == DType::float16 && std::same_as<Number, double>) {
      return narrow_float<kTo, kNan>(number);
    } else {
      return static_cast<Element<kTo>>(narrow_float<kTo, kNan>(static_cast<float>(number)));
    }
  }

 private:
  static constexpr NanBits kNan =
      kTo == DType::float16 && kRules == Rules::numpy ? NanBits::kept : NanBits::usual;

  template <class Integer>
  static Integer integer(Number number) noexcept {
    if constexpr (std::integral<Number>) {
      return static_cast<Integer>(number);
    } else if constexpr (kRules == Rules::byte_float) {
      return nearest_to_infinity(number, truncated<Integer>(static_cast<double>(number)));
    } else {
      return truncated<Integer>(static_cast<double>(number));
    }
  }

  template <class Integer>
  static Integer truncated(double number) noexcept {
    if constexpr (std::same_as<Integer, std::uint64_t>) {
      return truncate_unsigned(number);
    } else if constexpr (std::same_as<Integer, std::int64_t> ||
                         std::same_as<Integer, std::uint32_t>) {
      return static_cast<Integer>(truncate<std::int64_t>(number));
    } else {
      return static_cast<Integer>(truncate<std::int32_t>(number));
    }
  }
};

template <class From, class To, class Function>
void run(const std::byte* __restrict from, std::byte* __restrict to, std::size_t count) {
  const Function function;
  for (std::size_t i = 0; i < count; ++i) {
    From in;
    std::memcpy(&in, from + i * sizeof(From), sizeof(From));
    const To out = function(in);
    std::memcpy(to + i * sizeof(To), &out, sizeof(To));
  }
}

template <DType kFrom, class Number>
constexpr CastRun load_run() {
  if constexpr (std::same_as<Element<kFrom>, Number>)
    return nullptr;
  else
    return run<Element<kFrom>, Number, Load<kFrom, Number>>;
}

template <DType kTo, Rules kRules, class Number>
constexpr CastRun store_run() {
  // One function for all whose rules do not matter.
  constexpr bool kMatter = is_integer(kTo) ? kRules == Rules::byte_float : kTo == DType::float16;
  if constexpr (std::same_as<Element<kTo>, Number>)
    return nullptr;
  else
    return run<Number, Element<kTo>, Store<kTo, kMatter ? kRules : Rules::numpy, Number>>;
}

using Runs = std::array<CastRun, kRealTypes>;

template <Rules kRules, class Number, std::size_t... kTo>
constexpr Runs store_runs(std::index_sequence<kTo...>) {
  return {store_run<static_cast<DType>(kTo), kRules, Number>()...};
}

/// The steps from kFrom to every type, by way of Number.
template <DType kFrom, class Number>
CastSteps steps_by(DType to) noexcept {
  static constexpr Runs kStores =
      store_runs<rules_of(kFrom), Number>(std::make_index_sequence<kRealTypes>());
  return {load_run<kFrom, Number>(), kStores[static_cast<std::size_t>(to)]};
}

template <DType kFrom>
CastSteps steps_from(DType to) noexcept {
  if constexpr (kFrom == DType::uint64) {
    return steps_by<kFrom, std::uint64_t>(to);
  } else if constexpr (kFrom == DType::boolean || is_integer(kFrom)) {
    return steps_by<kFrom, std::int64_t>(to);
  } else if constexpr (kFrom == DType::float64) {
    return steps_by<kFrom, double>(to);
  } else {
    if constexpr (kFrom == DType::float16) {
      // By way of float32 a signalling NaN would become quiet.
      if (to == DType::float64) return steps_by<kFrom, double>(to);
    }
    return steps_by<kFrom, float>(to);
  }
}

using StepsFrom = CastSteps (*)(DType) noexcept;

template <std::size_t... kFrom>
constexpr std::array<StepsFrom, kRealTypes> all_steps(std::index_sequence<kFrom...>) {
  return {steps_from<static_cast<DType>(kFrom)>...};
}

}  // namespace

CastSteps cast_steps(DType from, DType to) noexcept {
  static constexpr auto kSteps = all_steps(std::make_index_sequence<kRealTypes>());
  assert(static_cast<std::size_t>(from) < kRealTypes && static_cast<std::size_t>(to) < kRealTypes);
  return kSteps[static_cast<std::size_t>(from)](to);
}

}  // namespace cairn::internal
