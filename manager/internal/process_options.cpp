#include <cairn/codecs/crc32c.h>
#include <cairn/manager/internal/process_options.h>
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

namespace cairn::internal {
namespace {

/// What comes behind it is shorter than half of what a name may have.
constexpr std::size_t kPrefixBytesMax = Coordinator::kNameBytesMax / 2;

[[noreturn]] void refuse(ErrorCode code, std::string reason, std::string remedy) {
  ErrorContext context;
  context.operation = "open manager";
  context.remedy = std::move(remedy);
  throw Error(code, std::move(reason), context);
}

std::vector<ProcessIndex> processes_of(const ManagerOptions& options) {
  const ProcessIndex count = options.coordinator->process_count();
  std::vector<ProcessIndex> processes(options.active_processes.begin(),
                                      options.active_processes.end());
  for (ProcessIndex i = 0; i < count && options.active_processes.empty(); ++i) {
    processes.push_back(i);
  }
  const auto require = [&](ProcessIndex process, const char* what) {
    if (std::ranges::find(processes, process) != processes.end() && process < count) return;
    refuse(
        ErrorCode::invalid_argument,
        fmt::format("{} {} is not among the active processes of a job of {}", what, process, count),
        "Look at primary_host and active_processes");
  };
  for (const ProcessIndex process : processes) require(process, "active process");
  require(options.coordinator->process_index(), "this process");
  if (options.primary_host) require(*options.primary_host, "primary_host");
  return processes;
}

/// Different for every manager: a name that has failed is spent. Managers of other processes, which
/// do not count these, have other names.
std::string prefix_of(const ManagerOptions& options, const std::vector<ProcessIndex>& processes) {
  const std::string& given = options.barrier_sync_key_prefix;
  std::string prefix = given.empty() ? "manager" : given + ".manager";
  if (processes.size() < options.coordinator->process_count()) {
    prefix += fmt::format("-{:08x}", crc32c(std::as_bytes(std::span(processes))));
  }
  return fmt::format("{}.{}", prefix, options.coordinator->next_number(prefix));
}

}  // namespace

ProcessGroupPtr group_of(const ManagerOptions& options) {
  if (!options.coordinator) return nullptr;
  ProcessGroup::Settings settings;
  settings.coordinator = options.coordinator;
  settings.processes = processes_of(options);
  if (settings.processes.size() == 1) return nullptr;
  settings.primary = options.primary_host;
  if (options.barrier_sync_key_prefix.size() > kPrefixBytesMax) {
    refuse(ErrorCode::invalid_argument,
           fmt::format("barrier_sync_key_prefix has {} bytes, it may have {}",
                       options.barrier_sync_key_prefix.size(), kPrefixBytesMax),
           "Choose a shorter one");
  }
  if (options.primary_host && !uses_ocdbt(options.layout)) {
    refuse(ErrorCode::not_supported,
           fmt::format("several processes cannot save in layout {} together",
                       to_string(options.layout)),
           "Use Layout::ocdbt_zarr3, or primary_host = none");
  }
  if (options.primary_host && options.incremental) {
    refuse(ErrorCode::not_supported, "several processes cannot save incrementally together",
           "Turn incremental off, or set primary_host to none");
  }
  settings.timeout = options.async_timeout;
  settings.prefix = prefix_of(options, settings.processes);
  return std::make_shared<ProcessGroup>(std::move(settings));
}

}  // namespace cairn::internal
