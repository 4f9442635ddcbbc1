// build/release/bench/report: everything that is measured, in one command.

#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "report/context.h"
#include "report/others_load.h"
#include "report/trace.h"
#include "report/worker.h"

namespace cairn::bench {
namespace {

namespace fs = std::filesystem;

/// A section of the report. fio's comes first, as others are compared with what it found.
struct Section {
  std::string_view name;
  void (*measure)(const Context&, Report&);
};
constexpr Section kSections[] = {
    {"saves", measure_saves},
    {"staging", measure_staging},
    {"restores", measure_restores},
    {"engine", measure_engine},
    {"codecs", measure_codecs},
    {"tiny", measure_tiny},
    {"scale", measure_scale},
    {"memory", measure_memory},
    {"interference", measure_interference},
    {"peers", measure_peers},
};

/// As many states as what writes most has on the disk at once: the sweep of fio, or, with many
/// rounds, crc32c (16 saves of an eighth of a state by two programs in each).
std::uint64_t states_on_disk(const Settings& settings) {
  const auto rounds = static_cast<std::uint64_t>(settings.rounds);
  return std::max(4 * rounds, fio_states_on_disk(settings.quick)) + 2;
}
constexpr std::uint64_t kBytesMin = std::uint64_t{64} << 20;
constexpr std::uint64_t kQuickBytes = std::uint64_t{512} << 20;
constexpr int kQuickRounds = 3;

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name"))
      return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "unknown";
}

void note_machine(const Settings& settings, Report& report) {
  utsname kernel{};
  ::uname(&kernel);
  report.note_machine("cpu", boost::json::string(cpu_model()));
  report.note_machine("cores", engine::available_cpus());
  report.note_machine("memory_gb", static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
                                       static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e9);
  report.note_machine("kernel", kernel.release);
  report.note_machine("compiler", __VERSION__);
  report.note_machine("bytes", settings.bytes);
  report.note_machine("rounds", settings.rounds);
  report.note_machine("seed", settings.seed);
}

/// What a report that was killed has left.
void remove_leftovers(const fs::path& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    constexpr std::string_view kPrefix = "cairn_report.";
    if (!name.starts_with(kPrefix)) continue;
    int pid = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), pid);
    if (pid > 0 && !fs::exists("/proc/" + std::to_string(pid))) fs::remove_all(entry.path());
  }
}

/// As many bytes as the disk has room for.
void fit(Settings& settings, Report& report) {
  const std::uint64_t states = states_on_disk(settings);
  const std::uint64_t most = fs::space(settings.directory).available / states;
  if (settings.bytes <= most) return;
  if (most < kBytesMin) {
    throw std::runtime_error("too little space in " + settings.directory.string() + ": " +
                             std::to_string((kBytesMin * states >> 30) + 1) +
                             " GiB at least; give another --dir");
  }
  report.leave_out("states of " + std::to_string(settings.bytes) + " bytes",
                   "the disk has room for " + std::to_string(most >> 20) + " MiB each");
  settings.bytes = most >> 20 << 20;
}

void add_steal(std::string_view section, const OthersLoad& others, Report& report) {
  const std::optional<double> stolen = others.stolen();
  if (!stolen) return;
  report.add({"steal." + std::string(section),
              *stolen * 100,
              "%",
              {},
              {},
              1,
              "of the cores' busy time, what the host of a virtual machine gave to others"});
}

void run_sections(Context& context, const std::vector<std::string>& only, Report& report) {
  const auto wanted = [&](std::string_view name) {
    return only.empty() || std::ranges::find(only, name) != only.end();
  };
  const OthersLoad others;
  measure_fio(context, report);
  add_steal("fio", others, report);
  for (const Section& section : kSections) {
    if (!wanted(section.name)) {
      report.leave_out(std::string(section.name), "not among --only");
      continue;
    }
    std::fprintf(stderr, "-- %s\n", std::string(section.name).c_str());
    const Stopwatch watch;
    const OthersLoad beside;
    try {
      section.measure(context, report);
    } catch (const std::exception& error) {
      // The others are worth having all the same.
      report.fail(std::string(section.name), error.what());
    }
    report.note_machine("seconds_of_" + std::string(section.name), watch.seconds());
    add_steal(section.name, beside, report);
  }
}

struct Outputs {
  fs::path json = "report.json";
  fs::path plots = "report";
  fs::path trace;  ///< instead of all else
};

int run(Settings settings, const std::vector<std::string>& only, const Outputs& outputs) {
  fs::create_directories(settings.directory);
  if (!outputs.trace.empty()) {
    trace_saves(settings, outputs.trace);
    return 0;
  }
  Report report;
  remove_leftovers(settings.directory);
  fit(settings, report);
  if (settings.quick) {
    report.leave_out("runs", "--quick has " + std::to_string(settings.rounds) +
                                 " rounds and smaller states: ratios scatter more");
  }
  note_machine(settings, report);
  Context context{std::move(settings), {}, {}};
  run_sections(context, only, report);
  std::printf("%s", report.table().c_str());
  report.write_plots(outputs.plots);
  std::ofstream file(outputs.json);
  file << boost::json::serialize(report.to_json()) << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + outputs.json.string());
  return report.acceptable() ? 0 : 1;
}

}  // namespace
}  // namespace cairn::bench

int main(int argc, char** argv) {
  using namespace cairn::bench;
  std::signal(SIGPIPE, SIG_IGN);  // a worker that has ended is an error like others
  if (argc == 4 && std::string_view(argv[1]) == "--worker") return worker_main(argv[2], argv[3]);
  CLI::App app(
      "Measures what Cairn promises against fio, memcpy and other libraries, in turns on the same "
      "file system, and prints each figure with its goal. Exit status 1: one is below its floor.");
  Settings settings;
  std::vector<std::string> only;
  Outputs outputs;
  std::uint64_t bytes = 0;
  int rounds = 0;
  std::vector<std::string> names;
  for (const Section& section : kSections) names.emplace_back(section.name);
  app.add_flag("--quick", settings.quick, "within 5 minutes: smaller states, fewer rounds");
  app.add_option("--json", outputs.json, "where the figures go")->capture_default_str();
  app.add_option("--plots", outputs.plots, "directory for plots (PNG and SVG, by gnuplot)")
      ->capture_default_str();
  app.add_option("--dir", settings.directory, "where to write, on the file system to measure")
      ->capture_default_str();
  app.add_option("--bytes", bytes, "of a state; 0: 2 GiB, 512 MiB with --quick")
      ->check(CLI::Range(kBytesMin, std::uint64_t{1} << 40) | CLI::IsMember({std::uint64_t{0}}));
  app.add_option("--rounds", rounds, "in which what is compared takes turns; 0: 7, 3 with --quick")
      ->check(CLI::Range(0, 1000));
  app.add_option("--seed", settings.seed, "of the states")->capture_default_str();
  app.add_option("--only", only, "sections, with commas between; fio always")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  app.add_option("--python", settings.python,
                 "with the peers installed; default: tests/interop/.venv, as tests/interop/setup "
                 "--torch makes it");
  app.add_option("--trace", outputs.trace,
                 "measure nothing; write what disk and cores do during two saves to this file, for "
                 "Perfetto");
  CLI11_PARSE(app, argc, argv);
  if (bytes > 0)
    settings.bytes = bytes;
  else if (settings.quick)
    settings.bytes = kQuickBytes;
  if (rounds > 0)
    settings.rounds = rounds;
  else if (settings.quick)
    settings.rounds = kQuickRounds;
  if (settings.python.empty()) {
    const fs::path installed = source_directory() / "tests/interop/.venv/bin/python";
    if (fs::exists(installed)) settings.python = installed;
  }
  try {
    return run(std::move(settings), only, outputs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "report: %s\n", error.what());
    return 2;
  }
}
