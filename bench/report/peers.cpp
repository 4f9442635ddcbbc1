// Other libraries on the same bytes: what a save blocks, when it is durable, how fast it is back.

#include <cairn/cairn.h>

#include <algorithm>
#include <utility>

#include "report/context.h"
#include "report/peer_runs.h"
#include "report/trainer_load.h"
#include "report/workloads.h"

namespace cairn::bench {
namespace {

namespace fs = std::filesystem;

struct Peer {
  std::string_view name;  ///< in bench/peers
  bool quick = false;     ///< also in the quick report
  bool tiny = false;      ///< also of very many arrays; the others: see kNoTiny
  bool trainer = false;   ///< its interference is measured
};
constexpr Peer kPeers[] = {
    {"torch_save", true, true, true},
    {"torch_dcp", true, true, false},
    {"torch_dcp_threads"},
    {"torch_dcp_async_thread", false, false, true},
    {"torch_dcp_async_process", false, false, true},
    {"safetensors", true, true, true},
    {"orbax"},
    {"orbax_files"},
    {"orbax_raw", true},
    {"orbax_numpy", false, true},
    {"orbax_async", false, false, true},
    {"orbax_async_files"},
    {"tensorstore", false, true, true},
    {"numpy_npz", false, true},
    {"numpy_npy", false, false, true},
};
constexpr std::string_view kNoTiny =
    "minutes: a file, a descriptor or a task for each array; the variants that are faster are "
    "there";
constexpr std::string_view kOurRun = "cairn_raw";
constexpr std::uint64_t kPeersQuickBytes = std::uint64_t{256} << 20;
constexpr std::size_t kPeersQuickLeaves = 10'000;
constexpr std::uint64_t kGoalBytes = 1'900'000'000;  ///< from here on it counts as 2 GB
constexpr int kPeersRoundsMax = 3;
/// About what these take on two cores: what comes last is left out where it is too late for it.
constexpr double kQuickLlamaSeconds = 55;
constexpr double kQuickTinySeconds = 25;
constexpr double kTrainerSeconds = 60;
constexpr std::string_view kTooLate = "the report's time is nearly over; --only peers measures it";

/// A figure of a process, and the rows it becomes.
struct Measure {
  const char* figure;
  std::string_view row;
  std::string_view unit;
  double scale = 1;
};
constexpr Measure kMeasures[] = {
    {"stall_s", "stall", "s"},
    {"durable_s", "durable", "s"},
    {"durable_fsync_s", "durable_fsync", "s"},
    {"cold_s", "restore_cold", "s"},
    {"warm_s", "restore_warm", "s"},
    {"peak_bytes", "peak_rss", "MB", 1e-6},
    {"cpu_s_per_gb", "cpu_per_gb", "s/GB"},
};

std::string meaning_of(std::string_view row, const PeerResult& result) {
  if (row == "durable") return "until it says that it is done, as shipped: " + result.durability;
  if (row == "stall") return "until the caller may change its arrays";
  if (row == "durable_fsync" && result.name == kDiskRun) return "with its own fsync at the end";
  if (row == "durable_fsync") return "the same, and fsync of every file and directory after it";
  if (row == "restore_cold") return "none of its files in the page cache; new process";
  if (row == "restore_warm") return "all of its files in the page cache";
  if (row == "peak_rss") return "above what there was, page cache not counted";
  if (row == "cpu_per_gb") return "of its processes, until it is durable";
  return "";
}

double median_of(const std::vector<double>& values) {
  return spread_of(values).median;
}

const PeerResult* find(const std::vector<PeerResult>& results, std::string_view name) {
  const auto found = std::ranges::find(results, name, &PeerResult::name);
  return found == results.end() || !found->error.empty() ? nullptr : &*found;
}

/// Of those whose name starts so, the one that is fastest.
const PeerResult* best_of(const std::vector<PeerResult>& results, std::string_view prefix,
                          const std::string& figure) {
  const PeerResult* best = nullptr;
  for (const PeerResult& result : results) {
    if (!result.name.starts_with(prefix) || result.of(figure).empty()) continue;
    if (!best || median_of(result.of(figure)) < median_of(best->of(figure))) best = &result;
  }
  return best;
}

constexpr std::string_view kDurable = "durable_fsync_s";

/// A row of the design: what the peer takes for each second of ours.
struct Comparison {
  std::string_view row;
  std::string_view prefix;  ///< of the peer's variants, the best of which counts
  std::string_view figure = kDurable;
  std::string_view note;
};
constexpr Comparison kLlama[] = {
    {"peer_torch_save", "torch_save", kDurable,
     "as shipped it ends in the page cache: made durable by fsync"},
    {"peer_torch_dcp", "torch_dcp", kDurable,
     "it syncs its files; made durable by fsync of their directory, too"},
    {"peer_safetensors", "safetensors", kDurable,
     "as shipped it ends in the page cache: made durable by fsync"},
    {"peer_orbax", "orbax", kDurable,
     "TensorStore syncs the arrays, nothing syncs Orbax's metadata files and last renames: made "
     "durable by fsync of these"},
};
constexpr Comparison kTiny[] = {
    {"tiny_save_orbax", "orbax", kDurable,
     "numpy arrays, which it saves faster than JAX's; its metadata files and last renames made "
     "durable by fsync"},
    {"tiny_restore_orbax", "orbax", "cold_s", "cold, into new memory"},
};

void compare(std::span<const Comparison> comparisons, const std::vector<PeerResult>& results,
             std::string_view state, bool other_size, Report& report) {
  const PeerResult* ours = find(results, kOurRun);
  const PeerResult* disk = find(results, kDiskRun);
  for (const Comparison& comparison : comparisons) {
    const std::string name(comparison.figure);
    const PeerResult* peer = best_of(results, comparison.prefix, name);
    std::vector<double> reference = peer ? peer->of(name) : std::vector<double>();
    std::vector<double> figures = ours ? ours->of(name) : std::vector<double>();
    // A slow one has run in the first round alone.
    const std::size_t rounds = std::min(reference.size(), figures.size());
    if (rounds == 0) {
      report.leave_out(std::string(comparison.row),
                       std::string(peer ? kOurRun : comparison.prefix) + " was not measured");
      continue;
    }
    reference.resize(rounds);
    figures.resize(rounds);
    Row row{std::string(comparison.row),
            median_of(figures),
            "s",
            median_of(reference),
            ratio_of(reference, figures),
            static_cast<int>(rounds),
            std::string(state) + "; " + peer->name + ": " + std::string(comparison.note)};
    std::vector<double> limit = disk != nullptr ? disk->of(name) : std::vector<double>();
    if (limit.size() >= rounds) {
      limit.resize(rounds);
      row.note += "; fio, which only writes as many bytes, was " +
                  figure_text(ratio_of(reference, limit).median) + " times as fast as it";
    }
    if (other_size) row.other_size = state;
    report.add(std::move(row));
  }
}

void add_rows(std::string_view family, const std::vector<PeerResult>& results, Report& report) {
  for (const PeerResult& result : results) {
    const std::string name = std::string(family) + "." + result.name;
    if (!result.error.empty()) {
      report.leave_out(name, result.error);
      continue;
    }
    for (const Measure& measure : kMeasures) {
      const std::vector<double> figures = result.of(measure.figure);
      if (figures.empty()) continue;
      report.add({name + "." + std::string(measure.row),
                  median_of(figures) * measure.scale,
                  std::string(measure.unit),
                  {},
                  {},
                  static_cast<int>(figures.size()),
                  meaning_of(measure.row, result)});
    }
  }
}

std::uint64_t write_workload(const Workload& workload, const fs::path& file) {
  fs::create_directories(file.parent_path());
  return write_safetensors(make_engine({}), views_of(workload), file.string()).get().bytes;
}

std::string described(std::uint64_t bytes, std::size_t leaves) {
  return std::to_string(bytes / 1'000'000) + " MB in " + std::to_string(leaves) + " arrays";
}

PeerPlan peer_plan(const Settings& settings, const WorkDirectory& work) {
  PeerPlan plan;
  plan.python = settings.python;
  plan.workload = fs::absolute(work / "input") / "state.safetensors";
  plan.directory = work / "saves";
  plan.rounds = settings.quick ? 1 : std::min(settings.rounds, kPeersRoundsMax);
  plan.names = {std::string(kOurRun)};
  return plan;
}

void measure_llama(const Context& context, Report& report) {
  const Settings& settings = context.settings;
  const WorkDirectory work(settings, "peers_llama");
  PeerPlan plan = peer_plan(settings, work);
  plan.names.emplace_back("cairn_auto");
  plan.names.emplace_back(kDiskRun);
  plan.disk = context.fio.write;
  for (const Peer& peer : kPeers) {
    if (peer.quick || !settings.quick) {
      plan.names.emplace_back(peer.name);
    } else {
      report.leave_out("llama." + std::string(peer.name), "the quick report has no time for it");
    }
  }
  const std::uint64_t asked =
      settings.quick ? std::min(settings.bytes, kPeersQuickBytes) : settings.bytes;
  std::string state;
  {
    const Workload workload = make_workload("llama", asked, settings.seed);
    const std::uint64_t bytes = write_workload(workload, plan.workload);
    state = described(bytes, workload.arrays.size());
  }
  const std::vector<PeerResult> results = run_peers(plan);
  add_rows("llama", results, report);
  compare(kLlama, results, state, asked < kGoalBytes, report);
}

void measure_tiny_arrays(const Settings& settings, Report& report) {
  const WorkDirectory work(settings, "peers_tiny");
  PeerPlan plan = peer_plan(settings, work);
  for (const Peer& peer : kPeers) {
    // In a hurry, what the design compares with alone.
    const bool wanted = settings.quick ? peer.name == "orbax_numpy" : peer.tiny;
    if (wanted) {
      plan.names.emplace_back(peer.name);
    } else {
      report.leave_out("tiny." + std::string(peer.name),
                       peer.tiny ? "the quick report has no time for it" : std::string(kNoTiny));
    }
  }
  plan.warm = !settings.quick;
  std::string state;
  {
    Workload workload = make_workload("tiny", 0, settings.seed);
    if (settings.quick && workload.arrays.size() > kPeersQuickLeaves) {
      workload.arrays.erase(workload.arrays.begin() + kPeersQuickLeaves, workload.arrays.end());
      report.leave_out("tiny: 100,000 arrays", "the quick report gives the peers the first 10,000");
    }
    const std::uint64_t bytes = write_workload(workload, plan.workload);
    state = described(bytes, workload.arrays.size());
  }
  const std::vector<PeerResult> results = run_peers(plan);
  add_rows("tiny", results, report);
  compare(kTiny, results, state, settings.quick, report);
}

/// The steps of a trainer that saves with a peer, as more than without a save.
void add_interference(std::string_view peer, const boost::json::object& printed, Report& report) {
  const auto figure = [&](const char* when, const char* name) {
    return printed.at(when).at(name).to_number<double>();
  };
  const std::string prefix = "interference." + std::string(peer) + ".";
  const int saves = static_cast<int>(printed.at("saves").to_number<double>());
  const std::string note = std::to_string(static_cast<int>(figure("during", "steps"))) +
                           " steps during saves as shipped, that which calls save() among them";
  for (const auto& [key, row] :
       {std::pair{"p50_ms", "p50"}, {"p99_ms", "p99"}, {"p99_9_ms", "p99_9"}}) {
    report.add({prefix + row,
                (figure("during", key) / figure("alone", key) - 1) * 100,
                "%",
                {},
                {},
                saves,
                note});
  }
  report.add({prefix + "lost",
              printed.at("lost_s").to_number<double>(),
              "s",
              {},
              {},
              saves,
              "of steps, by each save"});
}

void measure_trainers(const Context& context, Report& report) {
  const Settings& settings = context.settings;
  if (settings.quick) {
    report.leave_out("interference of peers", "the quick report has no time for it");
    return;
  }
  const WorkDirectory work(settings, "peers_interference");
  const PeerPlan plan = peer_plan(settings, work);
  write_workload(
      make_workload(kTrainerState, std::min(kTrainerStateBytes, settings.bytes), settings.seed),
      plan.workload);
  fs::create_directories(plan.directory);
  for (const Peer& peer : kPeers) {
    if (!peer.trainer) continue;
    const std::string name(peer.name);
    if (context.too_late_for(kTrainerSeconds)) {
      report.leave_out("interference." + name, std::string(kTooLate));
      continue;
    }
    try {
      const fs::path saves = fs::absolute(plan.directory) / name;
      add_interference(peer.name,
                       run_peer(plan.python, plan.deadline,
                                {"--interference", "--peer", name, "--workload", plan.workload,
                                 "--directory", saves}),
                       report);
    } catch (const std::exception& error) {
      report.leave_out("interference." + name, error.what());
    }
  }
}

}  // namespace

void measure_peers(const Context& context, Report& report) {
  const Settings& settings = context.settings;
  if (settings.python.empty()) {
    report.leave_out("peers",
                     "there is no Python that has them; tests/interop/setup --torch makes one");
    return;
  }
  if (settings.quick && context.too_late_for(kQuickLlamaSeconds)) {
    report.leave_out("peers", std::string(kTooLate));
    return;
  }
  measure_llama(context, report);
  if (settings.quick && context.too_late_for(kQuickTinySeconds)) {
    report.leave_out("tiny: peers", std::string(kTooLate));
    return;
  }
  measure_tiny_arrays(settings, report);
  measure_trainers(context, report);
}

}  // namespace cairn::bench
