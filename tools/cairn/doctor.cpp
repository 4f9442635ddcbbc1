// cairn doctor: what saves will find on this machine and in a directory, and what to do about it.

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdlib>

#include "common.h"
#include "direct_probe.h"
#include "table.h"

namespace cairn::cli {
namespace {

// Below this a save of any size is likely to fail.
constexpr std::uint64_t kFreeBytesMin = std::uint64_t{1} << 30;
// What a ring of the default depth locks on kernels before 5.12, which count it.
constexpr std::uint64_t kMemlockBytesMin = 64u << 10;

enum class Level : std::uint8_t { note, warning, problem };

struct Finding {
  Level level = Level::note;
  std::string subject;
  std::string message;
  std::string remedy;
};

/// All that was looked at.
struct Examination {
  std::string directory;
  engine::EngineStats engine;
  DirectProbe probe;
  std::string file_system;
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::optional<std::uint64_t> memlock_bytes;  ///< none: unlimited
  std::vector<Finding> findings;
};

std::string_view name_of(Level level) {
  switch (level) {
    case Level::note:
      return "note";
    case Level::warning:
      return "warning";
    case Level::problem:
      return "problem";
  }
  return "note";
}

/// Magic numbers of statfs(2), linux/magic.h and the file systems' own headers.
std::string file_system_name(std::uint64_t magic) {
  struct Named {
    std::uint64_t magic;
    std::string_view name;
  };
  constexpr Named kNames[] = {
      {0xef53, "ext4"},      {0x58465342, "xfs"},   {0x9123683e, "btrfs"},
      {0xf2f52010, "f2fs"},  {0x2fc12fc1, "zfs"},   {0xca451a4e, "bcachefs"},
      {0x01021994, "tmpfs"}, {0x858458f6, "ramfs"}, {0x794c7630, "overlay"},
      {0x6969, "nfs"},       {0xff534d42, "cifs"},  {0xfe534d42, "smb2"},
      {0x65735546, "fuse"},  {0x01021997, "9p"},    {0x0bd00bd0, "lustre"},
      {0x47504653, "gpfs"},  {0x00c36400, "ceph"},  {0x4d44, "vfat"},
      {0x2011bab0, "exfat"},
  };
  for (const Named& known : kNames) {
    if (known.magic == magic) return std::string(known.name);
  }
  return fmt::format("unknown (type {:#x})", magic);
}

void look_at_file_system(Examination& found) {
  struct statfs type {};
  struct statvfs space {};
  if (::statfs(found.directory.c_str(), &type) != 0 ||
      ::statvfs(found.directory.c_str(), &space) != 0) {
    throw system_error(errno, "look at", found.directory);
  }
  // f_type is signed, and magic numbers of 32 bits may have been extended.
  found.file_system = file_system_name(static_cast<std::uint32_t>(type.f_type));
  found.free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  found.total_bytes = std::uint64_t{space.f_blocks} * space.f_frsize;
}

void judge_machine(Examination& found, const Settings& settings) {
  const auto add = [&](Level level, std::string subject, std::string message, std::string remedy) {
    found.findings.push_back({level, std::move(subject), std::move(message), std::move(remedy)});
  };
  const engine::BackendInfo& backend = found.engine.backend;
  const bool asked = settings.backend != engine::BackendKind::automatic ||
                     std::getenv("CAIRN_IO_BACKEND") != nullptr;
  if (backend.name != "uring" && !asked) {
    add(Level::warning, "backend", "io_uring is not in use: " + backend.reason,
        "Saves work, with more CPU time; the reason names what to allow");
  }
  // The probe has written from the window.
  if (backend.name == "uring" && found.probe.writable && !backend.registered_buffers) {
    add(Level::note, "registered buffers", backend.registered_reason,
        "Saves work, with a little more CPU time");
  }
  if (found.memlock_bytes && *found.memlock_bytes < kMemlockBytesMin) {
    add(Level::note, "memlock",
        fmt::format("{} may be locked; before Linux 5.12 a ring needs {}",
                    human_bytes(*found.memlock_bytes), human_bytes(kMemlockBytesMin)),
        "Raise it with `ulimit -l`");
  }
}

/// Of a file that cannot be written; without the full stop.
std::string remedy_of(const engine::error_code& error) {
  std::string remedy(engine::remedy(error));
  if (remedy.empty()) return "Choose another directory, or change its owner, mode or mount";
  while (remedy.ends_with('.')) remedy.pop_back();
  return remedy;
}

void judge_directory(Examination& found) {
  const auto add = [&](Level level, std::string subject, std::string message, std::string remedy) {
    found.findings.push_back({level, std::move(subject), std::move(message), std::move(remedy)});
  };
  const DirectProbe& probe = found.probe;
  if (found.free_bytes < kFreeBytesMin) {
    add(found.free_bytes == 0 ? Level::problem : Level::warning, "free space",
        fmt::format("{} are free", human_bytes(found.free_bytes)),
        "Make room, or delete steps (max_to_keep)");
  }
  if (!probe.writable) {
    return add(Level::problem, "write",
               "no file can be written here: " + probe.write_error.message(),
               remedy_of(probe.write_error));
  }
  if (!probe.direct) {
    add(Level::warning, "direct I/O", "refused: " + probe.direct_error,
        "Saves go through the page cache; ext4 and xfs on a local disk take direct I/O");
  }
  if (!probe.exchange) {
    add(Level::warning, "exchange", "two names cannot be exchanged: " + probe.exchange_error,
        "Steps cannot be overwritten here; delete them first");
  }
  if (found.file_system == "tmpfs" || found.file_system == "ramfs") {
    add(Level::warning, "file system", found.file_system + " keeps files in memory",
        "Steps are lost with a restart: choose a directory on a disk");
  }
}

/// For a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

void judge_leftovers(Examination& found, const std::vector<Leftover>& leftovers) {
  const std::int64_t now = now_ns();
  for (const Leftover& leftover : leftovers) {
    const std::string remedy = leftover.deletion ? "The next save or deletion here removes it, or"
                                                 : "If its writer is gone";
    found.findings.push_back(
        {Level::warning, "leftover", leftover.name + ": " + describe(leftover, now),
         remedy + ": rm -r -- " + quoted(join_path(found.directory, leftover.name))});
  }
}

Examination examine(const Settings& settings, const DoctorOptions& options) {
  const auto engine = make_probing_engine(settings);
  Examination found;
  found.directory = options.directory;
  found.probe = probe_directory(engine, options.directory);
  found.engine = engine->stats();
  look_at_file_system(found);
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    found.memlock_bytes = limit.rlim_cur;
  }
  judge_machine(found, settings);
  judge_directory(found);
  judge_leftovers(found, list_leftovers(engine, options.directory).get());
  return found;
}

boost::json::object to_json(const Examination& found) {
  boost::json::object out;
  out["directory"] = found.directory;
  boost::json::object backend;
  backend["name"] = found.engine.backend.name;
  backend["reason"] = found.engine.backend.reason;
  backend["ring_flags"] = cli::to_json(found.engine.backend.ring_flags);
  backend["registered_buffers"] = found.engine.backend.registered_buffers;
  backend["registered_bytes"] = found.engine.backend.registered_bytes;
  backend["registered_reason"] = found.engine.backend.registered_reason;
  backend["queue_depth"] = found.engine.backend.queue_depth;
  out["backend"] = std::move(backend);
  boost::json::object direct;
  direct["works"] = found.probe.direct;
  direct["alignment"] = found.probe.direct ? found.probe.alignment : 0;
  direct["error"] = found.probe.direct_error;
  out["direct_io"] = std::move(direct);
  out["writable"] = found.probe.writable;
  out["exchange"] = found.probe.exchange;
  out["file_system"] = found.file_system;
  out["free_bytes"] = found.free_bytes;
  out["total_bytes"] = found.total_bytes;
  out["memlock_bytes"] =
      found.memlock_bytes ? boost::json::value(*found.memlock_bytes) : boost::json::value(nullptr);
  out["cpu_threads"] = found.engine.cpu_threads;
  out["staging_bytes"] = found.engine.staging.capacity_bytes;
  out["io_window_bytes"] = found.engine.window.capacity_bytes;
  boost::json::array findings;
  for (const Finding& finding : found.findings) {
    boost::json::object entry;
    entry["level"] = name_of(finding.level);
    entry["subject"] = finding.subject;
    entry["message"] = finding.message;
    entry["remedy"] = finding.remedy;
    findings.push_back(std::move(entry));
  }
  out["findings"] = std::move(findings);
  return out;
}

void print_examination(const Examination& found) {
  const engine::BackendInfo& backend = found.engine.backend;
  const DirectProbe& probe = found.probe;
  Table table({{"CHECK"}, {"RESULT"}});
  table.add({"directory", found.directory});
  table.add(
      {"file system", fmt::format("{}, {} free of {}", found.file_system,
                                  human_bytes(found.free_bytes), human_bytes(found.total_bytes))});
  table.add({"write", probe.writable ? "works" : "fails: " + probe.write_error.message()});
  table.add({"direct I/O", probe.direct ? fmt::format("works, alignment {} bytes", probe.alignment)
                                        : "refused: " + probe.direct_error});
  table.add({"exchange", probe.exchange ? "works" : "fails: " + probe.exchange_error});
  table.add({"backend", fmt::format("{} ({})", backend.name, backend.reason)});
  if (!backend.ring_flags.empty()) {
    table.add({"ring flags", fmt::format("{}", fmt::join(backend.ring_flags, " "))});
  }
  table.add({"registered buffers", backend.registered_buffers
                                       ? "work (an option, off by default)"
                                       : "refused: " + backend.registered_reason});
  table.add({"queue depth", std::to_string(backend.queue_depth)});
  table.add({"memlock", found.memlock_bytes ? human_bytes(*found.memlock_bytes) : "unlimited"});
  table.add({"CPU threads", std::to_string(found.engine.cpu_threads)});
  table.add({"staging", human_bytes(found.engine.staging.capacity_bytes)});
  table.add({"I/O window", human_bytes(found.engine.window.capacity_bytes)});
  print(table.text());
  print(found.findings.empty() ? "\nNothing to mend.\n" : "\n");
  for (const Finding& finding : found.findings) {
    print(fmt::format("{}: {}: {}. {}.\n", name_of(finding.level), finding.subject,
                      printable(finding.message), printable(finding.remedy)));
  }
}

}  // namespace

int run_doctor(const Settings& settings, const DoctorOptions& options) {
  const Examination found = examine(settings, options);
  if (settings.json) {
    print_json(to_json(found));
  } else {
    print_examination(found);
  }
  for (const Finding& finding : found.findings) {
    if (finding.level == Level::problem) return kDamage;
  }
  return kGood;
}

}  // namespace cairn::cli
