#pragma once
// The arrays that a save is measured with.

#include <cairn/codecs/array.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cairn::bench {

inline constexpr std::uint64_t kArrayBytes = std::uint64_t{64} << 20;
inline constexpr std::uint64_t kSmallArrayBytes = std::uint64_t{64} << 10;  ///< of "small"

/// What make_arrays() knows: "bf16", "fp32", "noise", "small" (as bf16) and more, and each of
/// data_names().
[[nodiscard]] std::vector<std::string> save_data_names();
/// So many bytes in arrays of `array_bytes`, all of them but the last. 0: as suits the data.
[[nodiscard]] std::vector<Array> make_arrays(const std::string& data, std::uint64_t bytes,
                                             std::uint64_t array_bytes, std::uint64_t seed);

}  // namespace cairn::bench
