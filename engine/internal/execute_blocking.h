#pragma once
// Requests as plain system calls: the whole of the thread backend, and what io_uring has no opcode
// for.

#include <cairn/engine/io_backend.h>

struct statx;

namespace cairn::engine::internal {

/// Most bytes one transfer moves; longer requests end short. A multiple of every alignment, and
/// below the kernel's own limit of 2 GiB - 4 KiB.
inline constexpr std::uint64_t kMaxTransferBytes = 1u << 30;

/// Fields that a stat asks for: type, mode, links, size, times and STATX_DIOALIGN.
[[nodiscard]] unsigned statx_mask() noexcept;
/// What the kernel said, as the interface has it.
[[nodiscard]] FileStatus to_file_status(const struct statx& from) noexcept;
/// Flags of statx() for a request: symlinks are not followed, "" is the descriptor itself.
[[nodiscard]] int statx_flags(const IoRequest& request) noexcept;
/// `length` cut to kMaxTransferBytes.
[[nodiscard]] std::uint32_t transfer_length(std::uint64_t length) noexcept;

/// Carries `request` out on the calling thread. EINTR is reported, not retried.
void execute_blocking(const IoRequest& request, IoResult& result) noexcept;

}  // namespace cairn::engine::internal
