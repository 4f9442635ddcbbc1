#pragma once
// fio (https://fio.readthedocs.io) as the reference for what a disk can do.

#include <cstdint>
#include <string>

namespace cairn::bench {

/// What one fio run measured.
struct FioRun {
  double bytes_per_second = 0;
  double cpu_seconds_per_gb = 0;  ///< user + system
};

/// Writes `bytes` to a new file at `path`: io_uring, direct, 4 MiB blocks, depth 32, native
/// fallocate, fsync at the end. The file stays. Throws std::runtime_error with fio's own message.
[[nodiscard]] FioRun fio_write(const std::string& path, std::uint64_t bytes);
/// The command line that fio_write() runs, for reports.
[[nodiscard]] std::string fio_command(const std::string& path, std::uint64_t bytes);

}  // namespace cairn::bench
