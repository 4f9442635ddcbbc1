#pragma once
// What this process may use of the machine: CPUs and memory, after affinity and control groups.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::engine::internal {

/// Where control groups are looked up; tests give a directory of their own.
struct CgroupFiles {
  std::string mount = "/sys/fs/cgroup";  ///< v2 here, v1 controllers one level below
  std::string membership;                ///< the text of /proc/self/cgroup
};

[[nodiscard]] CgroupFiles process_cgroups();

/// CPUs' worth of time per period, the least of the group and its ancestors; none = no limit.
/// v2: cpu.max; v1: cpu.cfs_quota_us and cpu.cfs_period_us (kernel: admin-guide/cgroup-v2,
/// sched-bwc).
[[nodiscard]] std::optional<double> cgroup_cpus(const CgroupFiles& files);
/// Bytes, the least of the group and its ancestors; none = no limit.
/// v2: memory.max; v1: memory.limit_in_bytes.
[[nodiscard]] std::optional<std::uint64_t> cgroup_memory(const CgroupFiles& files);

/// CPUs in the affinity mask, at least 1.
[[nodiscard]] unsigned affinity_cpus();
/// min(RAM, cgroup limit), bytes.
[[nodiscard]] std::uint64_t available_memory();

}  // namespace cairn::engine::internal
