#pragma once
// What the encoder and the decoder of zarr.json must agree on.

#include <cairn/codecs/dtype.h>

#include <cstddef>

namespace cairn::zarr {

inline constexpr std::size_t kMaxCodecs = 16;  ///< more is damage; a real chain has two or three

/// The bytes codec names a byte order exactly for elements of several bytes.
[[nodiscard]] inline bool has_endian(DType dtype) noexcept { return size_of(dtype) > 1; }

}  // namespace cairn::zarr
