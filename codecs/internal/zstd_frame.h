#pragma once
// One zstd frame at a time, with contexts that a thread reuses: nodes are coded in batches, and
// setting a context up costs more than compressing a small node.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace cairn::internal {

/// Appends `from` as one frame to `to`. Throws std::runtime_error when zstd fails (out of memory).
void append_zstd_frame(std::string_view from, int level, std::string& to);

/// The content of `frame`, decoded as a stream so that memory follows what really comes out, not
/// what the frame claims. Throws FormatError about `structure` on damage, on bytes after the frame
/// and above `max_bytes`. `may_take`, if any, is asked for all that comes out, piece by piece:
/// where it says no, that is an error too.
[[nodiscard]] std::string decode_zstd_frame(
    std::string_view frame, std::uint64_t max_bytes, std::string_view structure,
    const std::function<bool(std::uint64_t bytes)>& may_take = {});

/// The levels that zstd knows.
[[nodiscard]] int min_zstd_level() noexcept;
[[nodiscard]] int max_zstd_level() noexcept;

}  // namespace cairn::internal
