#pragma once
// fio, the denominator: what the disk takes and gives when nothing is in the way.

#include <cstdint>
#include <filesystem>
#include <string>

namespace cairn::bench {

/// How fio is run.
struct FioJob {
  bool reads = false;
  bool uring = true;  ///< else psync
  std::uint64_t block_bytes = std::uint64_t{4} << 20;
  unsigned depth = 32;  ///< 1 for psync
  unsigned jobs = 1;    ///< processes, each with a part of the bytes in a file of its own
};
/// "write io_uring 4M x 32 x 1".
[[nodiscard]] std::string to_string(const FioJob& job);
/// The command line; `path` is the file's, or the common beginning of the jobs' files.
[[nodiscard]] std::string fio_command(const FioJob& job, const std::filesystem::path& path,
                                      std::uint64_t bytes);

struct FioFigure {
  double gb_per_s = 0;  ///< 10^9 bytes; writing ends with the fsync
  double cpu_seconds_per_gb = 0;
};
/// Runs it: writing makes new files that nothing has been written to, reading finds those of an
/// earlier write with as many jobs. Throws std::runtime_error with fio's words where it fails.
[[nodiscard]] FioFigure run_fio(const FioJob& job, const std::filesystem::path& path,
                                std::uint64_t bytes);

/// The fastest of the sweep, of each kind.
struct FioBest {
  FioJob write{};
  FioJob write_psync{};
  FioJob read{};
};

}  // namespace cairn::bench
