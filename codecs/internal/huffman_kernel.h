#pragma once
// The AVX-512 part of the encoder; see byte_shuffle_kernel.h on why it knows no other type.

#include <cstddef>

namespace cairn::blosc::internal {

/// Of each symbol: the low 8 bits of its code; and its code's other bits with the length above
/// them.
struct KernelTables {
  unsigned char code_low[256];
  unsigned char rest[256];
};
inline constexpr unsigned kRestLengthShift = 4;

/// Writes a stream as EncodeStream does.
std::size_t encode_stream_kernel(const KernelTables& tables, const std::byte* from,
                                 std::size_t count, std::byte* to) noexcept;

}  // namespace cairn::blosc::internal
