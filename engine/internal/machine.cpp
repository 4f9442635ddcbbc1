#include <cairn/engine/internal/machine.h>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <vector>

namespace cairn::engine::internal {
namespace {

// A v1 group without a limit says so with the largest multiple of the page size.
constexpr std::uint64_t kNoMemoryLimit = 1ull << 60;
constexpr int kCpuMaskMax = 1 << 20;  // far above any machine: ends the search for a mask that fits

// The file's text; empty where it cannot be read.
std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file) return {};
  text << file.rdbuf();
  return std::move(text).str();
}

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// Whether the comma-separated `names` hold `wanted`; no name stands for the v2 hierarchy.
bool lists(std::string_view names, std::string_view wanted) {
  if (wanted.empty()) return names.empty();
  while (!names.empty()) {
    const std::size_t length = std::min(names.find(','), names.size());
    if (names.substr(0, length) == wanted) return true;
    names.remove_prefix(std::min(length + 1, names.size()));
  }
  return false;
}

// Directories from the process's group of `controller` up to the mount; "" names the v2 hierarchy.
// The group may be invisible (a container sees its own group as the mount), so the mount is always
// last.
std::vector<std::string> group_directories(const CgroupFiles& files, std::string_view controller) {
  std::istringstream lines(files.membership);
  std::string group;
  for (std::string line; std::getline(lines, line);) {  // hierarchy:controllers:path
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    if (lists(std::string_view(line).substr(first + 1, second - first - 1), controller)) {
      group = line.substr(second + 1);
      break;
    }
  }
  std::string mount = files.mount;
  if (!controller.empty()) mount.append("/").append(controller);
  std::vector<std::string> found;
  while (group.size() > 1) {
    found.push_back(mount + group);
    group.resize(group.rfind('/'));
  }
  found.push_back(std::move(mount));
  return found;
}

template <class T>
void lower(std::optional<T>& least, T value) {
  least = least ? std::min(*least, value) : value;
}

}  // namespace

CgroupFiles process_cgroups() {
  CgroupFiles files;
  files.membership = read_text("/proc/self/cgroup");
  return files;
}

std::optional<double> cgroup_cpus(const CgroupFiles& files) {
  std::optional<double> least;
  const auto add = [&least](std::optional<std::int64_t> quota, std::optional<std::int64_t> period) {
    if (quota && period && *quota > 0 && *period > 0)
      lower(least, static_cast<double>(*quota) / static_cast<double>(*period));
  };
  for (const std::string& directory : group_directories(files, "")) {
    const std::string text = read_text(directory + "/cpu.max");
    const auto space = text.find(' ');
    if (space == std::string::npos) continue;
    add(to_integer(text), to_integer(std::string_view(text).substr(space + 1)));
  }
  for (const std::string& directory : group_directories(files, "cpu")) {
    add(to_integer(read_text(directory + "/cpu.cfs_quota_us")),
        to_integer(read_text(directory + "/cpu.cfs_period_us")));
  }
  return least;
}

std::optional<std::uint64_t> cgroup_memory(const CgroupFiles& files) {
  std::optional<std::uint64_t> least;
  const auto add = [&least](const std::string& path) {
    const auto limit = to_integer(read_text(path));
    if (limit && *limit > 0 && static_cast<std::uint64_t>(*limit) < kNoMemoryLimit)
      lower(least, static_cast<std::uint64_t>(*limit));
  };
  for (const std::string& directory : group_directories(files, "")) add(directory + "/memory.max");
  for (const std::string& directory : group_directories(files, "memory"))
    add(directory + "/memory.limit_in_bytes");
  return least;
}

unsigned affinity_cpus() {
  // The kernel refuses a mask smaller than its own, which may have more than CPU_SETSIZE bits.
  for (int bits = CPU_SETSIZE; bits <= kCpuMaskMax; bits *= 2) {
    ::cpu_set_t* mask = CPU_ALLOC(static_cast<std::size_t>(bits));
    if (mask == nullptr) return 1;
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(bits));
    const int result = ::sched_getaffinity(0, size, mask);
    const int count = result == 0 ? CPU_COUNT_S(size, mask) : 0;
    CPU_FREE(mask);
    if (result == 0) return static_cast<unsigned>(std::max(count, 1));
  }
  return 1;
}

std::uint64_t available_memory() {
  const std::uint64_t ram = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                            static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return std::min(ram, cgroup_memory(process_cgroups()).value_or(ram));
}

}  // namespace cairn::engine::internal
