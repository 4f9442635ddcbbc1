// What memory a save takes beyond what it was given: a process of its own for each state.

#include <cairn/engine/engine.h>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/value_to.hpp>
#include <cerrno>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "report/context.h"
#include "report/measure.h"
#include "report/worker.h"
#include "report/workloads.h"

namespace cairn::bench {
namespace {

constexpr double kBytesPerLeaf = 2048;  ///< what the design grants
constexpr int kSaves = 3;

struct MemoryCase {
  std::string workload;
  std::uint64_t bytes = 0;
  std::string codec;  ///< "raw" or "auto"
  /// Small, as what of it is not needed hides what is taken elsewhere.
  std::uint64_t staging = 0;
  std::uint64_t window = 0;
};

/// Of memory that nobody has touched the kernel has none.
std::uint64_t resident_of(std::span<std::byte> memory) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((memory.size() + page - 1) / page);
  if (::mincore(memory.data(), memory.size(), pages.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "mincore");
  const auto there = [](unsigned char flags) { return (flags & 1u) != 0; };
  return static_cast<std::uint64_t>(std::ranges::count_if(pages, there)) * page;
}

double number(const boost::json::object& object, std::string_view name) {
  return boost::json::value_to<double>(object.at(name));
}

/// Adds its rows; gives the percentage of the state.
double measure_case(const MemoryCase& one, const Settings& settings, const WorkDirectory& work,
                    Report& report) {
  const boost::json::object used = run_worker("memory", {{"root", (work / one.workload).string()},
                                                         {"workload", one.workload},
                                                         {"codec", one.codec},
                                                         {"bytes", one.bytes},
                                                         {"seed", settings.seed},
                                                         {"staging", one.staging},
                                                         {"window", one.window}});
  const double above = number(used, "peak") - number(used, "idle");
  const auto granted = static_cast<double>(one.staging + one.window);
  const double touched = number(used, "arenas");
  const double leaves = number(used, "leaves");
  const double percent =
      (above - granted - kBytesPerLeaf * leaves) / number(used, "state_bytes") * 100;
  report.add({.name = "memory." + one.workload + ".above_idle",
              .value = above / 1e6,
              .unit = "MB",
              .note = fmt::format("most resident memory of {} saves, less that before the first; "
                                  "of staging and window {:.0f} MB were touched",
                                  kSaves, touched / 1e6)});
  if (leaves >= 1000)
    report.add(
        {.name = "memory." + one.workload + ".per_leaf",
         .value = (above - touched) / leaves,
         .unit = "B/leaf",
         .note = fmt::format("of that, what is not in staging or window, over {} leaves", leaves)});
  report.add({.name = "memory." + one.workload + ".elsewhere",
              .value = (above - touched) / number(used, "state_bytes") * 100,
              .unit = "%",
              .note = "of the state: all that is not in staging or window"});
  report.add({.name = "memory." + one.workload,
              .value = percent,
              .unit = "%",
              .note = fmt::format("of the state: what is beyond staging and window, which may have "
                                  "{:.0f} MB, and 2 KiB a leaf; below 0: less than these",
                                  granted / 1e6)});
  return percent;
}

}  // namespace

void measure_memory(const Context& context, Report& report) {
  const Settings& settings = context.settings;
  const WorkDirectory work(settings, "memory");
  constexpr std::uint64_t kMebibyte = 1u << 20;
  const std::uint64_t bytes =
      settings.quick ? std::min(settings.bytes, 512 * kMebibyte) : settings.bytes;
  const std::uint64_t staging = std::clamp(bytes / 4, 64 * kMebibyte, 1024 * kMebibyte);
  const std::vector<MemoryCase> cases = {
      {"huge", bytes, "raw", staging, 32 * kMebibyte},
      {"llama_bf16", bytes, "auto", staging, 128 * kMebibyte},
      {"tiny", bytes, "raw", 64 * kMebibyte, 32 * kMebibyte},
  };
  double worst = 0;
  std::string of;
  for (const MemoryCase& one : cases) {
    const double percent = measure_case(one, settings, work, report);
    if (of.empty() || percent > worst) {
      worst = percent;
      of = one.workload;
    }
  }
  report.add({.name = "memory",
              .value = worst,
              .unit = "%",
              .note = "the worst of three states, " + of + ", each in a process of its own"});
}

boost::json::object memory_worker(const boost::json::object& arguments) {
  const auto bytes_of = [&arguments](std::string_view name) {
    return boost::json::value_to<std::uint64_t>(arguments.at(name));
  };
  const auto text_of = [&arguments](std::string_view name) {
    return boost::json::value_to<std::string>(arguments.at(name));
  };
  const Workload state = make_workload(text_of("workload"), bytes_of("bytes"), bytes_of("seed"));
  engine::EngineOptions engine;
  engine.staging_bytes = bytes_of("staging");
  engine.io_window_bytes = bytes_of("window");
  ManagerOptions options;
  options.engine = make_engine(std::move(engine));
  if (text_of("codec") == "auto") options.codec = Codec::automatic();
  CheckpointManager manager(text_of("root"), options);

  forget_peak_memory();
  const std::uint64_t idle = resident_bytes();
  // The trees are not the trainer's: they are moved in.
  for (Step step = 0; step < kSaves; ++step)
    static_cast<void>(manager.save(step, views_of(state)).get());
  const std::uint64_t peak = peak_resident_bytes();
  const std::uint64_t arenas = resident_of(options.engine->staging().memory()) +
                               resident_of(options.engine->window().memory());
  manager.close().get();
  return {{"idle", idle},
          {"peak", peak},
          {"arenas", arenas},
          {"leaves", state.arrays.size()},
          {"state_bytes", state.bytes()}};
}

}  // namespace cairn::bench
