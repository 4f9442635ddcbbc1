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
  unsigned jobs = 1;    ///< threads, each with a part of the bytes in a file of its own
};
/// "write_4m_32_1": block, depth, jobs.
[[nodiscard]] std::string name_of(const FioJob& job);
/// The command line without size and path.
[[nodiscard]] std::string to_string(const FioJob& job);

struct FioFigure {
  double gb_per_s = 0;  ///< 10^9 bytes; writing ends with the fsync
  double cpu_seconds_per_gb = 0;
};
/// Runs it on `path`.0, `path`.1 ...: writing makes new files, reading finds those of a write with
/// as many jobs. Throws std::runtime_error with fio's words where it fails.
[[nodiscard]] FioFigure run_fio(const FioJob& job, const std::filesystem::path& path,
                                std::uint64_t bytes);

/// As many states as the sweep of writes has on the disk at once.
[[nodiscard]] std::uint64_t fio_states_on_disk(bool quick);

/// The fastest of the sweep, of each kind.
struct FioBest {
  FioJob write{};
  FioJob write_psync{};
  FioJob read{};
};

}  // namespace cairn::bench
